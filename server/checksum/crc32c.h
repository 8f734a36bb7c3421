// CRC32C (Castagnoli), as chunks of keys and states carry it.
#pragma once

#include <cstdint>
#include <string_view>

namespace steelyard::server {

std::uint32_t Crc32c(std::string_view bytes);

// Of bytes that come in pieces: `crc` is that of the pieces before, 0 of none.
std::uint32_t ExtendCrc32c(std::uint32_t crc, std::string_view bytes);

}  // namespace steelyard::server
