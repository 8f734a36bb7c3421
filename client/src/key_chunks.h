// Keys cut into chunks, and the chunks that the server has not acknowledged.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "steelyard/client/tensor_view.h"
#include "steelyard/v1/universal_set_stream.pb.h"

namespace steelyard::client {

// A piece of keys that fits in one message.
struct KeyPiece {
  TensorView keys;
  std::optional<std::int64_t> head;  // Unset: of every head.
  std::int64_t count = 0;            // Keys of each head.
};

// Cuts c x d (one head) or H x c x d by rows into pieces of at most `bytes_max`
// bytes, in the order in which they are sent. A row of H keys that is larger
// goes head by head; a single key that is larger goes as it is, and the server
// refuses it. `head`: of c x d.
std::vector<KeyPiece> CutKeys(const TensorView& keys,
                              std::optional<std::int64_t> head,
                              std::int64_t bytes_max);

using KeyRequest = std::shared_ptr<const v1::StreamKeysRequest>;

// In the order of sending.
class ChunkBuffer {
 public:
  // `next`: where each head goes on.
  void Start(std::vector<std::int64_t> next);

  // The message of the next piece. Its bytes are copied; CRC32C included.
  // ERRORS  those of a tensor (tensor_codec.h); FailedPrecondition: a piece of
  //   every head where heads have received different numbers of keys.
  absl::StatusOr<KeyRequest> Append(const KeyPiece& piece);

  // Forgets the chunks that lie before `next` in full.
  void Acknowledge(const std::vector<std::int64_t>& next);

  // Where the server stands after the connection broke.
  // ERRORS  FailedPrecondition: not at the beginning of a chunk that is still
  //   here, nor at the end.
  absl::Status Rewind(const std::vector<std::int64_t>& next);

  std::vector<KeyRequest> unacknowledged() const;
  std::int64_t bytes() const { return bytes_; }
  bool empty() const { return chunks_.empty(); }
  const std::vector<std::int64_t>& next_offset() const { return next_offset_; }
  const std::vector<std::int64_t>& acknowledged() const {
    return acknowledged_;
  }

 private:
  struct Chunk {
    KeyRequest request;
    std::optional<std::int64_t> head;
    std::int64_t offset = 0;
    std::int64_t count = 0;
  };

  std::deque<Chunk> chunks_;
  std::int64_t bytes_ = 0;  // Of the keys in chunks_.
  std::vector<std::int64_t> next_offset_;
  std::vector<std::int64_t> acknowledged_;
};

}  // namespace steelyard::client
