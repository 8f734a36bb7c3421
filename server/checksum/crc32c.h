// CRC32C (Castagnoli), as chunks of keys and states carry it.
#pragma once

#include <cstdint>
#include <string_view>

namespace steelyard::server {

std::uint32_t Crc32c(std::string_view bytes);

// Of bytes that come in pieces: `crc` is that of the pieces before, 0 of none.
std::uint32_t ExtendCrc32c(std::uint32_t crc, std::string_view bytes);

// Of pieces one behind the other, from those of the pieces: nothing is read
// again. Keeps what depends on the size of the last piece alone.
class JoinedCrc32c {
 public:
  std::uint32_t value() const { return value_; }
  // That of all pieces so far.
  void Reset(std::uint32_t crc) { value_ = crc; }
  // Behind them come `bytes` bytes that have `crc`.
  void Add(std::uint32_t crc, std::int64_t bytes);

 private:
  std::uint32_t value_ = 0;
  std::int64_t bytes_ = -1;
  std::uint32_t factor_ = 0;  // x^(8 bytes_)
};

}  // namespace steelyard::server
