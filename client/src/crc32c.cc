#include "crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>
#include <cstddef>

namespace steelyard::client {

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

}  // namespace steelyard::client
