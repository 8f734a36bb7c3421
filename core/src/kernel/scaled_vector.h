// Numbers and vectors far outside the range of float64: a mantissa and an
// integer exponent each.
//
// SCALARS  mantissa in [0.5, 1) or 0, value mantissa * 2^exponent; every
//          operation has one rounding, u relative.
#pragma once

#include <cstdint>
#include <vector>

#include "steelyard/matrix.h"

namespace steelyard {

struct ScaledNumber {
  double mantissa = 0.0;
  std::int64_t exponent = 0;

  bool zero() const { return mantissa == 0.0; }
};

using ScaledVector = std::vector<ScaledNumber>;

// value * 2^exponent; value finite.
ScaledNumber MakeScaled(double value, std::int64_t exponent = 0);

// x e^t, |t| <= 1e10. Error u (1 + |t|), that of t itself.
ScaledNumber TimesExp(const ScaledNumber& x, double t);

ScaledNumber Times(const ScaledNumber& x, double factor);
ScaledNumber Add(const ScaledNumber& x, const ScaledNumber& y);
ScaledNumber Subtract(const ScaledNumber& x, const ScaledNumber& y);
ScaledNumber Absolute(const ScaledNumber& x);

// |x| > |y|.
bool LargerThan(const ScaledNumber& x, const ScaledNumber& y);

// ln|x|; kLogOfZero for 0, so that sums with it stay finite.
inline constexpr double kLogOfZero = -1e30;
double LogOf(const ScaledNumber& x);

// |x| / |y|, at most the largest double; 0 / 0 is 0.
double RatioOf(const ScaledNumber& x, const ScaledNumber& y);

// Euclidean.
ScaledNumber NormOf(const ScaledVector& x);

// The exponent of the largest entry, 0 for a zero vector.
std::int64_t TopExponent(const ScaledVector& x);

// x 2^-exponent; what is too small becomes 0.
void ToDoubles(const ScaledVector& x, std::int64_t exponent, double* out);

// Where the exponents of x need more than float64 holds.
bool FitsDouble(const ScaledVector& x);

}  // namespace steelyard
