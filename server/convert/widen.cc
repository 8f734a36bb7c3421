#include "server/convert/widen.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <limits>

namespace steelyard::server {
namespace {

double Number(double number) { return number; }
double Number(float number) { return number; }
double Number(Half number) { return FromFloat16Bits(number.bits); }
double Number(BFloat16 number) { return FromBFloat16Bits(number.bits); }

}  // namespace

double FromFloat16Bits(std::uint16_t bits) {
  using Reals = std::numeric_limits<double>;
  const int exponent = (bits >> 10) & 0x1f;
  const int fraction = bits & 0x3ff;
  double size = 0.0;
  if (exponent == 0x1f) {
    size = fraction == 0 ? Reals::infinity() : Reals::quiet_NaN();
  } else if (exponent == 0) {
    size = std::ldexp(fraction, -24);
  } else {
    size = std::ldexp(1024 + fraction, exponent - 25);
  }
  return (bits & 0x8000) != 0 ? -size : size;
}

double FromBFloat16Bits(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

std::vector<double> Widened(const AnyMatrixView& matrix) {
  return std::visit(
      [](const auto& view) {
        std::vector<double> numbers(
            static_cast<std::size_t>(view.rows() * view.cols()));
        std::transform(view.data(), view.data() + numbers.size(),
                       numbers.begin(),
                       [](const auto& number) { return Number(number); });
        return numbers;
      },
      matrix);
}

}  // namespace steelyard::server
