#include "server/checksum/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>
#include <cstddef>

namespace steelyard::server {
namespace {

// ISA-L counts in int.
constexpr std::size_t kPieceBytes = std::size_t{1} << 30;

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
  std::uint32_t square = kOne >> 8;
  for (auto left = static_cast<std::uint64_t>(bytes); left != 0; left >>= 1) {
    if ((left & 1) != 0) power = Product(power, square);
    square = Product(square, square);
  }
  return power;
}

}  // namespace

std::uint32_t Crc32c(std::string_view bytes) { return ExtendCrc32c(0, bytes); }

std::uint32_t ExtendCrc32c(std::uint32_t crc, std::string_view bytes) {
  // ISA-L leaves the two inversions of the standard to its caller.
  crc = ~crc;
  for (std::size_t done = 0; done < bytes.size(); done += kPieceBytes) {
    const std::size_t count = std::min(kPieceBytes, bytes.size() - done);
    // It takes a pointer to what it only reads.
    crc = crc32_iscsi(reinterpret_cast<unsigned char*>(
                          const_cast<char*>(bytes.data() + done)),
                      static_cast<int>(count), crc);
  }
  return ~crc;
}

// crc(ab) = crc(a) x^(8 |b|) + crc(b): what the standard adds before and after
// each piece cancels out.
void JoinedCrc32c::Add(std::uint32_t crc, std::int64_t bytes) {
  if (bytes_ != bytes) {
    bytes_ = bytes;
    factor_ = PowerOfBytes(bytes);
  }
  value_ = Product(factor_, value_) ^ crc;
}

}  // namespace steelyard::server
