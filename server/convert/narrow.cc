#include "server/convert/narrow.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>

namespace steelyard::server {
namespace {

// Of a binary format: stored bits of the mantissa, exponent of the smallest
// normal number; the sign is the bit above mantissa and exponent.
template <int kMantissaBits, int kExponentMin>
std::uint32_t BitsOf(double number) {
  constexpr int kExponentBits = std::bit_width(unsigned{-kExponentMin}) + 1;
  constexpr std::uint32_t kInfinity = ((1u << kExponentBits) - 1u)
                                      << kMantissaBits;
  const std::uint32_t sign =
      std::signbit(number) ? 1u << (kMantissaBits + kExponentBits) : 0u;
  if (std::isnan(number)) return sign | kInfinity | 1u << (kMantissaBits - 1);
  const double size = std::abs(number);
  // -kExponentMin + 1 is the largest exponent; what rounds up from there is
  // caught by the carry below.
  if (size >= std::ldexp(1.0, -kExponentMin + 2)) return sign | kInfinity;
  if (size == 0.0) return sign;
  const int exponent = std::max(std::ilogb(size), kExponentMin);
  // Exact: a power of two. Then in units of the last place, at most 2^(bits+1).
  const double units = std::ldexp(size, kMantissaBits - exponent);
  const auto rounded = static_cast<std::uint32_t>(std::nearbyint(units));
  // The leading bit of a normal number carries into its exponent, and so does a
  // mantissa that was rounded up to the next power of two.
  return sign | ((static_cast<std::uint32_t>(exponent - kExponentMin)
                  << kMantissaBits) +
                 rounded);
}

template <typename Bits, typename Narrow>
void Append(absl::Span<const double> numbers, const Narrow& narrow,
            std::string* bytes) {
  for (const double number : numbers) {
    const Bits bits = narrow(number);
    bytes->append(reinterpret_cast<const char*>(&bits), sizeof(bits));
  }
}

}  // namespace

std::uint32_t ToFloat32Bits(double number) { return BitsOf<23, -126>(number); }

std::uint16_t ToFloat16Bits(double number) {
  return static_cast<std::uint16_t>(BitsOf<10, -14>(number));
}

std::uint16_t ToBFloat16Bits(double number) {
  return static_cast<std::uint16_t>(BitsOf<7, -126>(number));
}

void AppendAs(StorageType type, absl::Span<const double> numbers,
              std::string* bytes) {
  switch (type) {
    case StorageType::kFloat64:
      bytes->append(reinterpret_cast<const char*>(numbers.data()),
                    numbers.size() * sizeof(double));
      return;
    case StorageType::kFloat32:
      return Append<std::uint32_t>(numbers, ToFloat32Bits, bytes);
    case StorageType::kFloat16:
      return Append<std::uint16_t>(numbers, ToFloat16Bits, bytes);
    case StorageType::kBFloat16:
      return Append<std::uint16_t>(numbers, ToBFloat16Bits, bytes);
  }
}

}  // namespace steelyard::server
