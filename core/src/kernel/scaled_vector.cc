#include "kernel/scaled_vector.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace steelyard {
namespace {

// ln 2 in two parts, the first with 32 trailing zero bits: k times it is exact.
constexpr double kLn2High = 0x1.62e42feep-1;
constexpr double kLn2Low = 0x1.a39ef35793c76p-33;
// Beyond this many bits apart the smaller of two summands is below half a unit.
constexpr std::int64_t kBitsApartMax = 120;

double Shifted(double mantissa, std::int64_t shift) {
  constexpr std::int64_t kShiftMax = 4000;
  return std::ldexp(mantissa,
                    static_cast<int>(std::clamp(shift, -kShiftMax, kShiftMax)));
}

}  // namespace

ScaledNumber MakeScaled(double value, std::int64_t exponent) {
  if (value == 0.0) return {};
  int shift = 0;
  const double mantissa = std::frexp(value, &shift);
  return {mantissa, exponent + shift};
}

ScaledNumber TimesExp(const ScaledNumber& x, double t) {
  if (x.zero()) return {};
  const double k = std::nearbyint(t * std::numbers::log2e);
  const double rest = std::fma(-k, kLn2Low, std::fma(-k, kLn2High, t));
  return MakeScaled(x.mantissa * std::exp(rest),
                    x.exponent + static_cast<std::int64_t>(k));
}

ScaledNumber Times(const ScaledNumber& x, double factor) {
  return MakeScaled(MakeScaled(factor).mantissa * x.mantissa,
                    x.exponent + MakeScaled(factor).exponent);
}

ScaledNumber Add(const ScaledNumber& x, const ScaledNumber& y) {
  if (x.zero()) return y;
  if (y.zero()) return x;
  if (x.exponent < y.exponent) return Add(y, x);
  const std::int64_t apart = x.exponent - y.exponent;
  if (apart > kBitsApartMax) return x;
  return MakeScaled(x.mantissa + Shifted(y.mantissa, -apart), x.exponent);
}

ScaledNumber Subtract(const ScaledNumber& x, const ScaledNumber& y) {
  return Add(x, {-y.mantissa, y.exponent});
}

ScaledNumber Absolute(const ScaledNumber& x) {
  return {std::abs(x.mantissa), x.exponent};
}

bool LargerThan(const ScaledNumber& x, const ScaledNumber& y) {
  if (x.zero() || y.zero()) return y.zero() && !x.zero();
  if (x.exponent != y.exponent) return x.exponent > y.exponent;
  return std::abs(x.mantissa) > std::abs(y.mantissa);
}

double LogOf(const ScaledNumber& x) {
  if (x.zero()) return kLogOfZero;
  return std::log(std::abs(x.mantissa)) +
         static_cast<double>(x.exponent) * std::numbers::ln2;
}

double RatioOf(const ScaledNumber& x, const ScaledNumber& y) {
  if (x.zero()) return 0.0;
  const double most = std::numeric_limits<double>::max();
  if (y.zero()) return most;
  return std::min(most, Shifted(std::abs(x.mantissa / y.mantissa),
                                x.exponent - y.exponent));
}

ScaledNumber NormOf(const ScaledVector& x) {
  const std::int64_t top = TopExponent(x);
  double sum = 0.0;
  for (const ScaledNumber& number : x) {
    if (number.zero()) continue;
    const double value = Shifted(number.mantissa, number.exponent - top);
    sum += value * value;
  }
  return MakeScaled(std::sqrt(sum), top);
}

std::int64_t TopExponent(const ScaledVector& x) {
  std::int64_t top = std::numeric_limits<std::int64_t>::min();
  for (const ScaledNumber& number : x) {
    if (!number.zero()) top = std::max(top, number.exponent);
  }
  return top == std::numeric_limits<std::int64_t>::min() ? 0 : top;
}

void ToDoubles(const ScaledVector& x, std::int64_t exponent, double* out) {
  for (const ScaledNumber& number : x) {
    *out++ = number.zero()
                 ? 0.0
                 : Shifted(number.mantissa, number.exponent - exponent);
  }
}

bool FitsDouble(const ScaledVector& x) {
  return std::all_of(x.begin(), x.end(), [](const ScaledNumber& number) {
    return number.zero() ||
           (number.exponent <= std::numeric_limits<double>::max_exponent &&
            number.exponent >= std::numeric_limits<double>::min_exponent);
  });
}

}  // namespace steelyard
