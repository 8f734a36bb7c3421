#include "state_chunks.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "crc32c.h"
#include "error_codec.h"

namespace steelyard::client {
namespace {

constexpr std::size_t kChunkBytes = std::size_t{1} << 20;

}  // namespace

bool StateCutter::Next(v1::StateChunk* chunk) {
  if (at_ >= state_.size()) return false;
  const std::string_view piece = state_.substr(at_, kChunkBytes);
  chunk->set_offset(static_cast<std::int64_t>(at_));
  chunk->set_data(piece.data(), piece.size());
  chunk->set_crc32c(Crc32c(piece));
  at_ += piece.size();
  chunk->set_last(at_ == state_.size());
  return true;
}

absl::Status StateJoiner::Add(const v1::StateChunk& chunk) {
  if (complete_ || !std::cmp_equal(chunk.offset(), state_.size())) {
    return BrokenAnswer(
        absl::StrCat("a chunk of the state at byte ", chunk.offset(), " where ",
                     complete_ ? "none" : "byte ",
                     complete_ ? "" : absl::StrCat(state_.size()), " is next"));
  }
  if (Crc32c(chunk.data()) != chunk.crc32c()) {
    return BrokenAnswer(absl::StrCat("the chunk of the state at byte ",
                                     chunk.offset(),
                                     " was damaged on its way (CRC32C)"));
  }
  state_ += chunk.data();
  complete_ = chunk.last();
  return absl::OkStatus();
}

absl::StatusOr<std::string> StateJoiner::Finish() {
  if (!complete_) {
    return BrokenAnswer(
        absl::StrCat("the state breaks off after ", state_.size(), " bytes"));
  }
  return std::move(state_);
}

}  // namespace steelyard::client
