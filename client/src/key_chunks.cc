#include "key_chunks.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "crc32c.h"
#include "error_codec.h"
#include "tensor_codec.h"

namespace steelyard::client {
namespace {

constexpr std::int64_t kNoLimit = std::numeric_limits<std::int64_t>::max();

std::int64_t BytesOf(const v1::StreamKeysRequest& request) {
  return static_cast<std::int64_t>(request.chunk().keys().data().size());
}

// Bytes of `count` keys of `columns`, in double: extents may be anything until
// the tensor is read.
double BytesOf(const TensorView& keys, std::int64_t count) {
  return static_cast<double>(count) *
         static_cast<double>(keys.extent(keys.rank() - 1)) *
         static_cast<double>(BytesOf(keys.type()));
}

void CutRows(const TensorView& keys, std::optional<std::int64_t> head,
             std::int64_t rows_each, std::vector<KeyPiece>* pieces) {
  const std::int64_t rows = keys.extent(keys.rank() - 2);
  for (std::int64_t first = 0; first < rows; first += rows_each) {
    const std::int64_t count = std::min(rows_each, rows - first);
    pieces->push_back({keys.Rows(first, count), head, count});
  }
}

}  // namespace

std::vector<KeyPiece> CutKeys(const TensorView& keys,
                              std::optional<std::int64_t> head,
                              std::int64_t bytes_max) {
  std::vector<KeyPiece> pieces;
  const std::int64_t heads = keys.rank() == 3 ? keys.extent(0) : 1;
  const auto fit = [&](double row_bytes) {
    return std::max(
        static_cast<std::int64_t>(static_cast<double>(bytes_max) / row_bytes),
        std::int64_t{1});
  };
  const double key_bytes = BytesOf(keys, 1);
  const double row_bytes = BytesOf(keys, heads);
  if (row_bytes <= static_cast<double>(bytes_max) || heads == 1) {
    CutRows(keys, head, fit(row_bytes), &pieces);
    return pieces;
  }
  for (std::int64_t h = 0; h < heads; ++h) {
    CutRows(keys.Head(h), h, fit(key_bytes), &pieces);
  }
  return pieces;
}

void ChunkBuffer::Start(std::vector<std::int64_t> next) {
  chunks_.clear();
  bytes_ = 0;
  next_offset_ = std::move(next);
  acknowledged_ = next_offset_;
}

absl::StatusOr<KeyRequest> ChunkBuffer::Append(const KeyPiece& piece) {
  const auto head = static_cast<std::size_t>(piece.head.value_or(0));
  const std::int64_t offset = next_offset_[head];
  if (!piece.head.has_value() &&
      std::count(next_offset_.begin(), next_offset_.end(), offset) !=
          static_cast<std::ptrdiff_t>(next_offset_.size())) {
    return LocalError(absl::StatusCode::kFailedPrecondition,
                      "keys of every head, but the heads have received "
                      "different numbers of keys",
                      {.reason = "OFFSET_MISMATCH", .field = "keys"});
  }
  auto request = std::make_shared<v1::StreamKeysRequest>();
  v1::KeyChunk* chunk = request->mutable_chunk();
  if (piece.head.has_value()) chunk->set_head(*piece.head);
  chunk->set_offset(offset);
  absl::Status status =
      ToProto(piece.keys, "keys", kNoLimit, chunk->mutable_keys());
  if (!status.ok()) return status;
  chunk->set_crc32c(Crc32c(chunk->keys().data()));
  for (std::size_t h = 0; h < next_offset_.size(); ++h) {
    if (!piece.head.has_value() || h == head) next_offset_[h] += piece.count;
  }
  bytes_ += BytesOf(*request);
  chunks_.push_back({request, piece.head, offset, piece.count});
  return KeyRequest(std::move(request));
}

void ChunkBuffer::Acknowledge(const std::vector<std::int64_t>& next) {
  if (next.empty() || next.size() != acknowledged_.size()) return;
  for (std::size_t h = 0; h < next.size(); ++h) {
    acknowledged_[h] = std::max(acknowledged_[h], next[h]);
  }
  const std::int64_t least =
      *std::min_element(acknowledged_.begin(), acknowledged_.end());
  while (!chunks_.empty()) {
    const Chunk& chunk = chunks_.front();
    const std::int64_t reached =
        chunk.head.has_value()
            ? acknowledged_[static_cast<std::size_t>(*chunk.head)]
            : least;
    if (reached < chunk.offset + chunk.count) return;
    bytes_ -= BytesOf(*chunk.request);
    chunks_.pop_front();
  }
}

absl::Status ChunkBuffer::Rewind(const std::vector<std::int64_t>& next) {
  Acknowledge(next);
  std::vector<std::int64_t> expected = next;
  expected.resize(next_offset_.size());
  bool good = next.size() == next_offset_.size();
  for (const Chunk& chunk : chunks_) {
    for (std::size_t h = 0; h < expected.size(); ++h) {
      if (chunk.head.has_value() && std::cmp_not_equal(*chunk.head, h)) {
        continue;
      }
      good = good && expected[h] == chunk.offset;
      expected[h] = chunk.offset + chunk.count;
    }
  }
  if (good && expected == next_offset_) return absl::OkStatus();
  return LocalError(
      absl::StatusCode::kFailedPrecondition,
      absl::StrCat("the server goes on at keys [", absl::StrJoin(next, ", "),
                   "] of its heads, which this stream cannot send again; it "
                   "has sent up to [",
                   absl::StrJoin(next_offset_, ", "), "]"),
      {.reason = "OFFSET_MISMATCH"});
}

std::vector<KeyRequest> ChunkBuffer::unacknowledged() const {
  std::vector<KeyRequest> requests;
  for (const Chunk& chunk : chunks_) requests.push_back(chunk.request);
  return requests;
}

}  // namespace steelyard::client
