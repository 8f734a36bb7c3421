#include "server/handlers/state_merge.h"

#include <algorithm>
#include <chrono>

#include "absl/strings/str_cat.h"
#include "server/convert/set_resource.h"
#include "server/errors/errors.h"
#include "server/handlers/session_work.h"
#include "server/sets/set_name.h"

namespace steelyard::server {
namespace {

// How often a silent stream is looked at.
constexpr std::chrono::milliseconds kLook{200};

// Memory for a shard is reserved in steps that double, from this.
constexpr std::int64_t kFirstShardBytes = std::int64_t{8} << 20;
// Of the bytes of a state: they, their message and what is restored from it.
constexpr double kStateMemory = 3.0;

absl::Status CheckSameKind(const SetDescription& merged, StorageType storage,
                           const SetDescription& other,
                           StorageType other_storage, const std::string& what) {
  const auto conflict = [&](const char* field) {
    return ConflictingFieldsError(what, absl::StrCat("has another ", field),
                                  "only states of one kind can be merged");
  };
  if (merged.heads != other.heads) return conflict("number of heads");
  if (merged.columns != other.columns) return conflict("number of columns");
  if (storage != other_storage) return conflict("dtype");
  if (merged.epsilon != other.epsilon) return conflict("epsilon");
  if (merged.top_m != other.top_m) return conflict("top_m");
  return absl::OkStatus();
}

absl::Status MergeAll(std::vector<OnePassUniversalSet>& into,
                      const std::vector<OnePassUniversalSet>& from,
                      const ComputeContext& compute) {
  for (std::size_t head = 0; head < into.size(); ++head) {
    absl::Status merged = into[head].Merge(from[head], compute);
    if (!merged.ok()) return merged;
  }
  return absl::OkStatus();
}

}  // namespace

double StateMerge::Merged::bytes() const {
  double held = 0.0;
  for (const OnePassUniversalSet& pass : passes) held += pass.bytes();
  return held;
}

absl::Status StateMerge::Run(v1::MergeStatesResponse* response) {
  absl::Status status = Open();
  if (status.ok()) status = ReceiveShards();
  if (status.ok()) status = Keep(response);
  return status;
}

absl::StatusOr<StateMerge::Requests::Taken> StateMerge::Next() {
  const Clock::time_point silent_since = Clock::now();
  const auto idle = absl::ToChronoMilliseconds(parts_.stream_idle);
  while (true) {
    absl::Status stopped = StopStatus(context_.stop().token());
    if (!stopped.ok()) return stopped;
    Requests::Taken taken = inbox_.Take(Clock::now() + kLook);
    if (context_.cancelled()) return absl::CancelledError("the caller is gone");
    if (taken.message != nullptr || taken.ended) return taken;
    if (parts_.gate.draining()) return DrainingError();
    if (idle.count() > 0 && Clock::now() - silent_since >= idle) {
      return StreamIdleError("MergeStates", idle);
    }
  }
}

absl::Status StateMerge::Open() {
  absl::StatusOr<Requests::Taken> first = Next();
  if (!first.ok()) return first.status();
  if (first->ended || !first->message->has_open()) {
    return OutOfOrderError("open", "has not come first",
                           "it is the first message of a stream");
  }
  const v1::MergeOpen& open = first->message->open();
  const absl::StatusOr<SetRequest> request =
      SetRequestFromProto(open.set_id(), open.has_ttl(), open.ttl(), "open.");
  if (!request.ok()) return request.status();
  absl::StatusOr<SetClaim> claim = parts_.registry.Claim(*request);
  if (!claim.ok()) return claim.status();
  claim_ = *std::move(claim);
  absl::StatusOr<MemoryReservation> queue =
      parts_.gate.Reserve(static_cast<double>(parts_.limits.stream_queue_bytes +
                                              parts_.limits.chunk_bytes_max));
  if (!queue.ok()) return queue.status();
  memory_.push_back(*std::move(queue));
  for (int i = 0; i < open.names_size(); ++i) {
    absl::Status merged = MergeSession(open.names(i), i);
    if (!merged.ok()) return merged;
  }
  inbox_.Release(*std::move(first));
  return absl::OkStatus();
}

absl::Status StateMerge::MergeSession(const std::string& name, int position) {
  const std::string field = absl::StrCat("open.names[", position, "]");
  const absl::StatusOr<std::string> id = SetIdOf(name, field);
  if (!id.ok()) return id.status();
  const auto session = FindSession(parts_.registry, *id);
  if (!session.ok()) return session.status();
  const bool first = merged_->passes.empty();
  if (first) {
    merged_->description = (*session)->description();
    merged_->storage = (*session)->storage();
  } else {
    absl::Status same =
        CheckSameKind(merged_->description, merged_->storage,
                      (*session)->description(), (*session)->storage(), field);
    if (!same.ok()) return same;
  }
  Cost cost = (*session)->cost();
  cost.bytes += BytesOfExport(**session);
  absl::Status merged =
      Compute(cost,
              [session = *session, merged = merged_,
               first](const ComputeContext& compute) -> absl::Status {
                if (!first) return session->MergeInto(merged->passes, compute);
                // A copy: the session stays as it is.
                absl::StatusOr<SessionState> state = StateOf(*session, compute);
                if (!state.ok()) return state.status();
                auto passes = RestoredPasses(*std::move(state), compute);
                if (!passes.ok()) return passes.status();
                merged->passes = *std::move(passes);
                return absl::OkStatus();
              });
  return merged.ok() ? CountMemory() : merged;
}

absl::Status StateMerge::ReceiveShards() {
  while (true) {
    absl::StatusOr<Requests::Taken> taken = Next();
    if (!taken.ok()) return taken.status();
    if (taken->ended) {
      return shard_.has_value() ? shard_->EndedEarly() : absl::OkStatus();
    }
    if (!taken->message->has_shard()) {
      return OutOfOrderError(taken->message->has_open() ? "open" : "message",
                             "came after open", "shards follow");
    }
    absl::Status shard = TakeShard(taken->message->shard());
    if (!shard.ok()) return shard;
    inbox_.Release(*std::move(taken));
  }
}

absl::Status StateMerge::TakeShard(const v1::ShardChunk& shard) {
  if (shard.shard() != shard_number_) {
    return OutOfOrderError(
        "shard.shard", absl::StrCat("is ", shard.shard()),
        absl::StrCat("shard ", shard_number_, " is the one that comes now"));
  }
  if (!shard_.has_value()) shard_.emplace("shard.chunk", parts_.limits);
  const auto more = static_cast<std::int64_t>(shard.chunk().data().size());
  if (shard_->size() + more > shard_reserved_) {
    const std::int64_t step =
        std::max({kFirstShardBytes, shard_reserved_, more});
    absl::StatusOr<MemoryReservation> memory =
        parts_.gate.Reserve(static_cast<double>(step));
    if (!memory.ok()) return memory.status();
    memory_.push_back(*std::move(memory));
    shard_reserved_ += step;
  }
  absl::Status appended = shard_->Append(shard.chunk());
  if (!appended.ok() || !shard_->complete()) return appended;
  std::string bytes = shard_->Take();
  shard_.reset();
  ++shard_number_;
  return MergeBytes(std::move(bytes));
}

absl::Status StateMerge::MergeBytes(std::string bytes) {
  const double work = kStateMemory * static_cast<double>(bytes.size());
  const std::string what = absl::StrCat("shard ", shard_number_ - 1);
  absl::Status merged = Compute(
      {.bytes = work},
      [bytes = std::make_shared<std::string>(std::move(bytes)), what,
       merged = merged_,
       limits = parts_.limits](const ComputeContext& compute) -> absl::Status {
        absl::StatusOr<SessionState> state = ParsedState(*bytes, limits);
        if (!state.ok()) return state.status();
        const bool first = merged->passes.empty();
        if (first) {
          merged->description = state->description;
          merged->storage = state->storage;
        } else {
          absl::Status same =
              CheckSameKind(merged->description, merged->storage,
                            state->description, state->storage, what);
          if (!same.ok()) return same;
        }
        auto passes = RestoredPasses(*std::move(state), compute);
        if (!passes.ok()) return passes.status();
        if (!first) return MergeAll(merged->passes, *passes, compute);
        merged->passes = *std::move(passes);
        return absl::OkStatus();
      });
  return merged.ok() ? CountMemory() : merged;
}

absl::Status StateMerge::CountMemory() {
  return claim_->Resize(std::max(
      merged_->bytes(),
      BytesOfSession(merged_->description, merged_->storage, parts_.limits)));
}

absl::Status StateMerge::Keep(v1::MergeStatesResponse* response) {
  if (merged_->passes.empty()) {
    return FieldRequiredError("open.names", "or shards: something to merge");
  }
  const std::string id = claim_->id();
  const double reserved = std::max(
      merged_->bytes(),
      BytesOfSession(merged_->description, merged_->storage, parts_.limits));
  std::move(*claim_).Keep(std::make_unique<KeySession>(
      KeySession::Origin{.name = SetName(id),
                         .description = merged_->description,
                         .storage = merged_->storage,
                         .finished = true,
                         .bytes_reserved = reserved,
                         .workers = parts_.workers},
      std::move(merged_->passes)));
  const absl::StatusOr<SetInfo> info = parts_.registry.Get(id);
  if (!info.ok()) return info.status();
  ToProto(*info, response->mutable_info());
  context_.set_shape(info->name);
  return absl::OkStatus();
}

}  // namespace steelyard::server
