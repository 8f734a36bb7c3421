// A serialized UniversalSetState to StateChunks and back.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "steelyard/v1/universal_set_stream.pb.h"

namespace steelyard::client {

// Cuts a state, which must outlive the cutter, into chunks of 1 MiB.
class StateCutter {
 public:
  explicit StateCutter(std::string_view state) : state_(state) {}

  // False when there is no more. A state of no bytes has no chunks.
  bool Next(v1::StateChunk* chunk);

 private:
  std::string_view state_;
  std::size_t at_ = 0;
};

// Joins the chunks of an answer.
class StateJoiner {
 public:
  // ERRORS  Internal: a chunk out of order, after the last, or damaged on its
  //   way (CRC32C).
  absl::Status Add(const v1::StateChunk& chunk);

  bool complete() const { return complete_; }

  // ERRORS  Internal: the last chunk did not come.
  absl::StatusOr<std::string> Finish();

 private:
  std::string state_;
  bool complete_ = false;
};

}  // namespace steelyard::client
