#include "crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>
#include <cstddef>

namespace steelyard::client {
namespace {

// Polynomials over GF(2) modulo that of CRC32C, reflected: the highest bit is
// the coefficient of x^0.
constexpr std::uint32_t kPolynomial = 0x82f63b78;
constexpr std::uint32_t kOne = 0x80000000;

std::uint32_t TimesX(std::uint32_t a) {
  return (a >> 1) ^ ((a & 1) != 0 ? kPolynomial : 0);
}

std::uint32_t Product(std::uint32_t a, std::uint32_t b) {
  std::uint32_t product = 0;
  for (std::uint32_t bit = kOne; bit != 0; bit >>= 1, b = TimesX(b)) {
    if ((a & bit) != 0) product ^= b;
  }
  return product;
}

// x^(8 bytes).
std::uint32_t PowerOfBytes(std::int64_t bytes) {
  std::uint32_t power = kOne;
  std::uint32_t square = kOne >> 8;  // x^8
  for (auto left = static_cast<std::uint64_t>(bytes); left != 0; left >>= 1) {
    if ((left & 1) != 0) power = Product(power, square);
    square = Product(square, square);
  }
  return power;
}

}  // namespace

std::uint32_t Crc32c(std::string_view bytes) {
  // ISA-L counts in int.
  constexpr std::size_t kPiece = std::size_t{1} << 30;
  std::uint32_t crc = ~std::uint32_t{0};
  while (!bytes.empty()) {
    const std::string_view piece = bytes.substr(0, kPiece);
    // It reads what its signature says it may write.
    auto* data = reinterpret_cast<unsigned char*>(
        const_cast<char*>(piece.data()));  // NOLINT
    crc = crc32_iscsi(data, static_cast<int>(piece.size()), crc);
    bytes.remove_prefix(piece.size());
  }
  return ~crc;
}

void JoinedCrc32c::Add(std::uint32_t crc, std::int64_t bytes) {
  if (bytes_ != bytes) {
    bytes_ = bytes;
    factor_ = PowerOfBytes(bytes);
  }
  // The ones before and after each piece cancel out.
  value_ = Product(factor_, value_) ^ crc;
}

}  // namespace steelyard::client
