// Vectors in 80-bit arithmetic with a power of two carried apart, so that
// (A'A)^64 x neither overflows nor loses what float64 would lose.
#pragma once

#include <cstdint>

#include <Eigen/Core>

#include "client/verify/rows.h"

namespace steelyard::verify {

using WideVector = Eigen::Matrix<long double, Eigen::Dynamic, 1>;

// mantissa * 2^exponent.
struct ScaledVector {
  WideVector mantissa;
  int64_t exponent = 0;

  // Largest entry into [0.5, 1); zero stays as it is.
  void Normalize();
  // Natural logarithm of the 2-norm; -infinity for zero.
  double LogNorm() const;
};

ScaledVector ScaledOf(WideVector vector);

// a - b.
ScaledVector Difference(const ScaledVector& a, const ScaledVector& b);

// A v and A'v, every product and sum in 80 bits.
WideVector Multiply(const RowMatrix& a, const WideVector& v);
WideVector MultiplyTransposed(const RowMatrix& a, const WideVector& v);

// ||a|| / ||b||, and ||a - b|| / ||b||; 0 when both are zero.
double NormRatio(const ScaledVector& a, const ScaledVector& b);
double RelativeDistance(const ScaledVector& a, const ScaledVector& b);

}  // namespace steelyard::verify
