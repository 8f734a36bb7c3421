#include "sensitivity/power_norm.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace steelyard {
namespace {

constexpr double kUnitRoundoff = 0x1p-53;
constexpr double kLargestByProducts = 64.0;
constexpr Index kPartial = 1024;

}  // namespace

AbsPower::AbsPower(double p) : p_(p) {
  if (p > kLargestByProducts || 2.0 * p != std::floor(2.0 * p)) return;
  whole_ = static_cast<int>(p);
  half_ = p != std::floor(p);
}

double AbsPower::Root(double a) { return std::sqrt(a); }

double AbsPower::General(double a) const { return std::pow(a, p_); }

double DualExponent(double p) {
  return p == 1.0 ? std::numeric_limits<double>::infinity() : p / (p - 1.0);
}

double LargestMagnitude(const double* x, Index count) {
  double largest = 0.0;
  for (Index i = 0; i < count; ++i) largest = std::max(largest, std::abs(x[i]));
  return largest;
}

double SumOfPowers(const double* x, Index count, const AbsPower& power,
                   double scale) {
  const double factor = 1.0 / scale;
  double sum = 0.0;
  for (Index first = 0; first < count; first += kPartial) {
    const Index end = std::min(count, first + kPartial);
    double partial = 0.0;
    for (Index i = first; i < end; ++i) {
      partial += power(std::abs(x[i]) * factor);
    }
    sum += partial;
  }
  return sum;
}

double PowerNorm(const double* x, Index count, double p) {
  const double largest = LargestMagnitude(x, count);
  // 1 / largest would overflow below 2^-1022.
  if (largest < std::numeric_limits<double>::min() || std::isinf(p)) {
    return largest;
  }
  const double sum = SumOfPowers(x, count, AbsPower(p), largest);
  return largest * std::pow(sum, 1.0 / p);
}

double PowerNormError(Index count) {
  return (2.0 * static_cast<double>(kPartial) +
          static_cast<double>(count / kPartial)) *
         kUnitRoundoff;
}

}  // namespace steelyard
