// What StreamKeys, ExportState and MergeStates have in common: passes from
// options or from states, states from sessions, and what that takes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/convert/universal_set_state.h"
#include "server/limits/limits.h"
#include "server/sets/key_session.h"
#include "server/sets/set_registry.h"
#include "steelyard/compute_context.h"
#include "steelyard/one_pass.h"

namespace steelyard::server {

// ERRORS  NotFound. FailedPrecondition: the set was not streamed.
absl::StatusOr<std::shared_ptr<KeySession>> FindSession(SetRegistry& registry,
                                                        const std::string& id);

// Held by the passes of all heads, for chunks of limits.chunk_bytes_max.
double BytesOfSession(const SetDescription& description, StorageType storage,
                      const Limits& limits);
// Taken by a call that adds a chunk.
double BytesOfAdding(const SetDescription& description, StorageType storage,
                     const Limits& limits, int workers);

// In admitted work, like all that follows.
absl::StatusOr<std::vector<OnePassUniversalSet>> NewPasses(
    const SetDescription& description, StorageType storage, Index first_index);

// ERRORS  STATE_CORRUPT with the path of the field; `context.stop`.
absl::StatusOr<std::vector<OnePassUniversalSet>> RestoredPasses(
    SessionState state, const ComputeContext& context);

absl::StatusOr<SessionState> StateOf(KeySession& session,
                                     const ComputeContext& context);

// The bytes of the session's state.
absl::StatusOr<std::string> ExportedState(KeySession& session,
                                          const ComputeContext& context);

// Bytes that this takes beside the session: the state, its message, its bytes.
double BytesOfExport(const KeySession& session);

}  // namespace steelyard::server
