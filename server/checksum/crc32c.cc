#include "server/checksum/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>
#include <cstddef>

namespace steelyard::server {
namespace {

// ISA-L counts in int.
constexpr std::size_t kPieceBytes = std::size_t{1} << 30;

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

}  // namespace steelyard::server
