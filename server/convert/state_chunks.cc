#include "server/convert/state_chunks.h"

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "server/checksum/crc32c.h"
#include "server/errors/errors.h"

namespace steelyard::server {
namespace {

// Bytes of a message with a chunk beside its data, at most: tags, lengths,
// offset, checksum.
constexpr std::int64_t kOverheadMax = 64;

}  // namespace

absl::Status StateBytes::Append(const v1::StateChunk& chunk) {
  if (complete_) {
    return OutOfOrderError(path_, "comes after the last chunk",
                           "the state was complete");
  }
  const std::string data = path_ + ".data";
  const auto bytes = static_cast<std::int64_t>(chunk.data().size());
  if (bytes == 0) return FieldRequiredError(data, "1 byte to 1 MiB");
  if (bytes > chunk_bytes_max_) {
    return LimitExceededError({.field = data,
                               .what = "the size of " + data,
                               .limit = "chunk_bytes_max",
                               .value = double(bytes),
                               .max = double(chunk_bytes_max_)});
  }
  if (chunk.offset() != size()) {
    return OffsetMismatchError(path_ + ".offset",
                               absl::StrCat("is ", chunk.offset()),
                               absl::StrCat("the state goes on at ", size()));
  }
  if (size() + bytes > kMessageBytesHardMax) {
    return LimitExceededError({.field = data,
                               .what = "the size of the state in bytes",
                               .limit = "message_bytes_max",
                               .value = double(size() + bytes),
                               .max = double(kMessageBytesHardMax)});
  }
  const std::uint32_t computed = Crc32c(chunk.data());
  if (computed != chunk.crc32c()) {
    return ChecksumMismatchError(
        path_ + ".crc32c", absl::StrCat("is ", chunk.crc32c()),
        absl::StrCat("that of the data at offset ", chunk.offset(), " is ",
                     computed));
  }
  bytes_.append(chunk.data());
  complete_ = chunk.last();
  return absl::OkStatus();
}

absl::Status StateBytes::EndedEarly() const {
  return StateCorruptError(path_, absl::StrCat("ends after ", size(), " bytes"),
                           "its last chunk has not come");
}

absl::Status WriteStateChunks(const std::string& bytes, const Limits& limits,
                              absl::FunctionRef<bool(v1::StateChunk&&)> write) {
  const auto piece =
      static_cast<std::size_t>(limits.chunk_bytes_max - kOverheadMax);
  std::size_t offset = 0;
  do {
    const std::size_t count = std::min(piece, bytes.size() - offset);
    const std::string_view data(bytes.data() + offset, count);
    v1::StateChunk chunk;
    chunk.set_offset(static_cast<std::int64_t>(offset));
    chunk.set_data(data.data(), data.size());
    chunk.set_crc32c(Crc32c(data));
    offset += count;
    chunk.set_last(offset == bytes.size());
    if (!write(std::move(chunk))) {
      return absl::CancelledError("the caller no longer reads the stream");
    }
  } while (offset < bytes.size());
  return absl::OkStatus();
}

}  // namespace steelyard::server
