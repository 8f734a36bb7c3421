#include "server/handlers/session_work.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "server/convert/tensor_input.h"
#include "server/sets/set_name.h"

namespace steelyard::server {
namespace {

// Rows of the longest chunk of one head.
Index ChunkRows(const SetDescription& description, StorageType storage,
                const Limits& limits) {
  return std::max<Index>(
      1, limits.chunk_bytes_max / (description.columns * SizeOf(storage)));
}

}  // namespace

absl::StatusOr<std::shared_ptr<KeySession>> FindSession(SetRegistry& registry,
                                                        const std::string& id) {
  absl::StatusOr<std::shared_ptr<StoredSet>> set = registry.Find(id);
  if (!set.ok()) return set.status();
  auto session = std::dynamic_pointer_cast<KeySession>(*std::move(set));
  if (session != nullptr) return session;
  return absl::FailedPreconditionError(
      SetName(id) +
      " was found in one request; only streamed and merged sets have a state");
}

double BytesOfSession(const SetDescription& description, StorageType storage,
                      const Limits& limits) {
  return static_cast<double>(description.heads) *
         BytesOfOnePass(PassOptions(description, storage, 0),
                        ChunkRows(description, storage, limits));
}

double BytesOfAdding(const SetDescription& description, StorageType storage,
                     const Limits& limits, int workers) {
  const Index at_once = std::min<Index>(description.heads, workers);
  return static_cast<double>(at_once) *
         CostOfOnePass(PassOptions(description, storage, 0),
                       ChunkRows(description, storage, limits), workers)
             .bytes;
}

absl::StatusOr<std::vector<OnePassUniversalSet>> NewPasses(
    const SetDescription& description, StorageType storage, Index first_index) {
  std::vector<OnePassUniversalSet> passes;
  for (Index head = 0; head < description.heads; ++head) {
    absl::StatusOr<OnePassUniversalSet> pass = OnePassUniversalSet::Create(
        PassOptions(description, storage, first_index));
    if (!pass.ok()) return pass.status();
    passes.push_back(*std::move(pass));
  }
  return passes;
}

absl::StatusOr<std::vector<OnePassUniversalSet>> RestoredPasses(
    SessionState state, const ComputeContext& context) {
  std::vector<OnePassUniversalSet> passes;
  for (std::size_t head = 0; head < state.heads.size(); ++head) {
    absl::StatusOr<OnePassUniversalSet> pass = OnePassUniversalSet::Restore(
        PassOptions(state.description, state.storage, state.first_index[head]),
        std::move(state.heads[head]), context);
    if (!pass.ok()) {
      return AtHeadState(pass.status(), static_cast<Index>(head));
    }
    passes.push_back(*std::move(pass));
  }
  return passes;
}

absl::StatusOr<SessionState> StateOf(KeySession& session,
                                     const ComputeContext& context) {
  absl::StatusOr<std::vector<OnePassState>> heads = session.Export(context);
  if (!heads.ok()) return heads.status();
  SessionState state{.description = session.description(),
                     .storage = session.storage(),
                     .heads = *std::move(heads),
                     .first_index = {}};
  for (Index head = 0; head < session.description().heads; ++head) {
    state.first_index.push_back(session.index_base(head));
  }
  return state;
}

absl::StatusOr<std::string> ExportedState(KeySession& session,
                                          const ComputeContext& context) {
  const absl::StatusOr<SessionState> state = StateOf(session, context);
  if (!state.ok()) return state.status();
  return SerializedState(*state);
}

double BytesOfExport(const KeySession& session) {
  return 3.0 * session.bytes();
}

}  // namespace steelyard::server
