#include "server/checksum/crc32c.h"

#include <string>

#include "gtest/gtest.h"

namespace steelyard::server {
namespace {

// Bit by bit, the reflected polynomial of Castagnoli.
std::uint32_t Reference(const std::string& bytes) {
  std::uint32_t crc = 0xFFFFFFFFu;
  for (const char byte : bytes) {
    crc ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1) ^ ((crc & 1u) != 0 ? 0x82F63B78u : 0u);
    }
  }
  return ~crc;
}

TEST(Crc32cTest, KnownAnswers) {
  EXPECT_EQ(Crc32c(""), 0u);
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283u);  // RFC 3720, B.4
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(Crc32c(std::string(32, '\xFF')), 0x62A8AB43u);
}

TEST(Crc32cTest, AgreesWithTheDefinitionForEveryLength) {
  std::string bytes;
  for (int length = 0; length < 300; ++length) {
    ASSERT_EQ(Crc32c(bytes), Reference(bytes)) << length;
    bytes.push_back(static_cast<char>(length * 37 + 11));
  }
}

TEST(Crc32cTest, PiecesHaveTheChecksumOfTheWhole) {
  std::string bytes;
  for (int i = 0; i < 100; ++i) bytes.push_back(static_cast<char>(i * 91 + 5));
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    const std::uint32_t first = ExtendCrc32c(0, bytes.substr(0, cut));
    ASSERT_EQ(ExtendCrc32c(first, bytes.substr(cut)), Reference(bytes)) << cut;
  }
}

TEST(Crc32cTest, ChecksumsOfPiecesAreJoined) {
  std::string bytes;
  for (int i = 0; i < 3000; ++i) bytes.push_back(static_cast<char>(i * i + 7));
  const std::uint32_t whole = Reference(bytes);
  for (const std::size_t piece : {1U, 7U, 64U, 1000U, 2999U, 3000U, 4000U}) {
    JoinedCrc32c joined;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      const std::string part = bytes.substr(at, piece);
      joined.Add(Reference(part), static_cast<std::int64_t>(part.size()));
    }
    EXPECT_EQ(joined.value(), whole) << piece;
    // Behind what is known already; nothing behind that changes nothing.
    joined.Reset(Reference(bytes.substr(0, piece)));
    const std::string rest = piece < 3000 ? bytes.substr(piece) : "";
    joined.Add(Reference(rest), static_cast<std::int64_t>(rest.size()));
    EXPECT_EQ(joined.value(), whole) << piece;
  }
}

}  // namespace
}  // namespace steelyard::server
