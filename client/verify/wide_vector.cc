#include "client/verify/wide_vector.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace steelyard::verify {
namespace {

// 2^-exponent beyond this is 0 beside any number of 80 bits.
constexpr int64_t kExponentSpan = 40000;

WideVector Shifted(const WideVector& vector, int64_t by) {
  const int shift =
      static_cast<int>(std::clamp(by, -kExponentSpan, kExponentSpan));
  WideVector result = vector;
  for (long double& entry : result) entry = std::ldexp(entry, shift);
  return result;
}

}  // namespace

void ScaledVector::Normalize() {
  const long double largest =
      mantissa.size() > 0 ? mantissa.cwiseAbs().maxCoeff() : 0.0L;
  if (!(largest > 0) || !std::isfinite(largest)) return;
  const int shift = std::ilogb(largest) + 1;
  mantissa = Shifted(mantissa, -shift);
  exponent += shift;
}

double ScaledVector::LogNorm() const {
  ScaledVector copy = *this;
  copy.Normalize();
  const long double norm = copy.mantissa.norm();
  if (norm == 0) return -std::numeric_limits<double>::infinity();
  return static_cast<double>(std::log(norm) +
                             static_cast<long double>(copy.exponent) *
                                 std::log(2.0L));
}

ScaledVector ScaledOf(WideVector vector) {
  ScaledVector result{.mantissa = std::move(vector), .exponent = 0};
  result.Normalize();
  return result;
}

ScaledVector Difference(const ScaledVector& a, const ScaledVector& b) {
  // A zero vector has no exponent of its own.
  const bool a_is_zero = a.mantissa.isZero(0);
  const bool b_is_zero = b.mantissa.isZero(0);
  ScaledVector result;
  result.exponent = a_is_zero   ? b.exponent
                    : b_is_zero ? a.exponent
                                : std::max(a.exponent, b.exponent);
  result.mantissa = Shifted(a.mantissa, a.exponent - result.exponent) -
                    Shifted(b.mantissa, b.exponent - result.exponent);
  result.Normalize();
  return result;
}

WideVector Multiply(const RowMatrix& a, const WideVector& v) {
  WideVector result(a.rows());
  for (Eigen::Index i = 0; i < a.rows(); ++i) {
    const double* row = a.data() + i * a.cols();
    long double sum = 0.0L;
    for (Eigen::Index c = 0; c < a.cols(); ++c) {
      sum += static_cast<long double>(row[c]) * v[c];
    }
    result[i] = sum;
  }
  return result;
}

WideVector MultiplyTransposed(const RowMatrix& a, const WideVector& v) {
  WideVector result = WideVector::Zero(a.cols());
  for (Eigen::Index i = 0; i < a.rows(); ++i) {
    const double* row = a.data() + i * a.cols();
    for (Eigen::Index c = 0; c < a.cols(); ++c) {
      result[c] += static_cast<long double>(row[c]) * v[i];
    }
  }
  return result;
}

double NormRatio(const ScaledVector& a, const ScaledVector& b) {
  ScaledVector top = a;
  ScaledVector bottom = b;
  top.Normalize();
  bottom.Normalize();
  const long double norm = top.mantissa.norm();
  if (norm == 0) return 0.0;
  const int64_t shift =
      std::clamp(top.exponent - bottom.exponent, -kExponentSpan, kExponentSpan);
  return static_cast<double>(
      std::ldexp(norm / bottom.mantissa.norm(), static_cast<int>(shift)));
}

double RelativeDistance(const ScaledVector& a, const ScaledVector& b) {
  return NormRatio(Difference(a, b), b);
}

}  // namespace steelyard::verify
