#include "client/src/crc32c.h"

#include <cstdint>
#include <string>

#include "gtest/gtest.h"

namespace steelyard::client {
namespace {

// Bit by bit, from the reflected polynomial of Castagnoli.
std::uint32_t Slow(const std::string& bytes) {
  std::uint32_t crc = ~std::uint32_t{0};
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0x82f63b78U : 0U);
    }
  }
  return ~crc;
}

TEST(Crc32cTest, KnownValues) {
  // RFC 3720, B.4.
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283U);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aaU);
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62a8ab43U);
  EXPECT_EQ(Crc32c(""), 0U);
}

TEST(Crc32cTest, IsTheOneBitByBitAtEveryLength) {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    bytes.push_back(static_cast<char>(i * i + 7));
    EXPECT_EQ(Crc32c(bytes), Slow(bytes)) << i;
  }
}

TEST(Crc32cTest, PiecesJoinToTheWhole) {
  std::string bytes;
  for (int i = 0; i < 5000; ++i) bytes.push_back(static_cast<char>(i * 31 + 1));
  for (const std::size_t piece : {1, 7, 64, 1000, 4999, 5000}) {
    JoinedCrc32c joined;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      const std::string part = bytes.substr(at, piece);
      joined.Add(Crc32c(part), static_cast<std::int64_t>(part.size()));
    }
    EXPECT_EQ(joined.value(), Crc32c(bytes)) << piece;
  }
  EXPECT_EQ(JoinedCrc32c().value(), Crc32c(""));
}

}  // namespace
}  // namespace steelyard::client
