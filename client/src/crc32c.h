// CRC32C (Castagnoli) of streamed chunks, as the contract means it: reflected,
// initial and final value all ones; of "123456789" it is 0xe3069283.
#pragma once

#include <cstdint>
#include <string_view>

namespace steelyard::client {

std::uint32_t Crc32c(std::string_view bytes);

}  // namespace steelyard::client
