// CRC32C (Castagnoli) of streamed chunks, as the contract means it: reflected,
// initial and final value all ones; of "123456789" it is 0xe3069283.
#pragma once

#include <cstdint>
#include <string_view>

namespace steelyard::client {

std::uint32_t Crc32c(std::string_view bytes);

// Of pieces one after the other, from the CRC32C of each.
class JoinedCrc32c {
 public:
  // The next piece: its CRC32C and how many bytes it has.
  void Add(std::uint32_t crc, std::int64_t bytes);

  // Of no bytes it is 0.
  std::uint32_t value() const { return value_; }

 private:
  std::uint32_t value_ = 0;
  // What so many bytes more do to a CRC: pieces are mostly of one size.
  std::int64_t bytes_ = 0;
  std::uint32_t factor_ = 0;
};

}  // namespace steelyard::client
