// v1.UniversalSetState <-> the states of a session's passes.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/limits/limits.h"
#include "server/sets/stored_set.h"
#include "steelyard/one_pass.h"
#include "steelyard/v1/universal_set_stream.pb.h"

namespace steelyard::server {

// The newest format that this version reads, and the one that it writes.
inline constexpr std::uint32_t kStateFormat = 1;

struct SessionState {
  SetDescription description;
  StorageType storage = StorageType::kFloat32;
  std::vector<OnePassState> heads;
  // Global index of the first key, one a head.
  std::vector<Index> first_index;
};

// Bytes of the message.
// ERRORS  ResourceExhausted LIMIT_EXCEEDED: more than a message may have.
absl::StatusOr<std::string> SerializedState(const SessionState& state);

// What SerializedState wrote, here or elsewhere. Field paths begin with
// "state.".
// ERRORS  STATE_CORRUPT: no such message, or fields that contradict each other;
//         STATE_FORMAT_TOO_NEW; LIMIT_EXCEEDED. That the numbers make sense is
//         the affair of OnePassUniversalSet::Restore.
absl::StatusOr<SessionState> ParsedState(const std::string& bytes,
                                         const Limits& limits);

// An error of Restore for this head with the proto path.
absl::Status AtHeadState(const absl::Status& status, Index head);

}  // namespace steelyard::server
