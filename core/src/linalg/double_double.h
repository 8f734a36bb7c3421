// Numbers of about 106 bits: unevaluated sums hi + lo of two doubles.
//
// METHOD  Error-free transformations. They hold under round to nearest and
//   without contraction of a * b + c (ISO mode of the compiler: no -ffast-math,
//   no GNU extensions); a test checks that.
//
// SOURCE  Dekker, A floating-point technique for extending the available
//   precision, 1971. Ogita, Rump, Oishi, Accurate sum and dot product, SIAM J.
//   Sci. Comput. 2005.
#pragma once

#include <cmath>

namespace steelyard {

// hi = fl(hi + lo).
struct DoubleDouble {
  double hi = 0.0;
  double lo = 0.0;
};

// a + b exactly.
inline DoubleDouble TwoSum(double a, double b) {
  const double sum = a + b;
  const double b_part = sum - a;
  return {sum, (a - (sum - b_part)) + (b - b_part)};
}

// a + b exactly, |a| >= |b| or a == 0.
inline DoubleDouble FastTwoSum(double a, double b) {
  const double sum = a + b;
  return {sum, b - (sum - a)};
}

// a b exactly (unless it underflows). One call of fma: for vectors of length
// n d use linalg/double_double_rows.h.
inline DoubleDouble TwoProduct(double a, double b) {
  const double product = a * b;
  return {product, std::fma(a, b, -product)};
}

// Relative error 2^-105 of the larger operand.
inline DoubleDouble Add(DoubleDouble a, DoubleDouble b) {
  const DoubleDouble high = TwoSum(a.hi, b.hi);
  const DoubleDouble low = TwoSum(a.lo, b.lo);
  const DoubleDouble sum = FastTwoSum(high.hi, high.lo + low.hi);
  return FastTwoSum(sum.hi, sum.lo + low.lo);
}

inline DoubleDouble Subtract(DoubleDouble a, DoubleDouble b) {
  return Add(a, {-b.hi, -b.lo});
}

// Relative error about 2^-104.
inline DoubleDouble Multiply(double a, DoubleDouble b) {
  const DoubleDouble product = TwoProduct(a, b.hi);
  return FastTwoSum(product.hi, product.lo + a * b.lo);
}

}  // namespace steelyard
