// A state's bytes in StateChunks of at most 1 MiB, each with its checksum.
#pragma once

#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "server/limits/limits.h"
#include "steelyard/v1/universal_set_stream.pb.h"

namespace steelyard::server {

// Puts chunks together.
class StateBytes {
 public:
  // `path`: proto path of the chunks, "state" or "shard.chunk".
  StateBytes(std::string path, const Limits& limits)
      : path_(std::move(path)), chunk_bytes_max_(limits.chunk_bytes_max) {}

  // ERRORS  MESSAGE_OUT_OF_ORDER: after the last; OFFSET_MISMATCH,
  //         CHECKSUM_MISMATCH, FIELD_REQUIRED: no bytes; LIMIT_EXCEEDED: a
  //         chunk or the whole is too large.
  absl::Status Append(const v1::StateChunk& chunk);

  bool complete() const { return complete_; }
  // Where the next chunk begins.
  std::int64_t size() const { return static_cast<std::int64_t>(bytes_.size()); }

  // STATE_CORRUPT: the chunks ended before the last one.
  absl::Status EndedEarly() const;

  std::string Take() { return std::move(bytes_); }

 private:
  const std::string path_;
  const std::int64_t chunk_bytes_max_;
  std::string bytes_;
  bool complete_ = false;
};

// `write` returns false when the stream is broken: CANCELLED.
absl::Status WriteStateChunks(const std::string& bytes, const Limits& limits,
                              absl::FunctionRef<bool(v1::StateChunk&&)> write);

}  // namespace steelyard::server
