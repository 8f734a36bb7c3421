#include "server/sets/key_session.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "server/errors/errors.h"
#include "steelyard/finite.h"

namespace steelyard::server {
namespace {

// Who waits for a turn looks at its stop token this often.
constexpr std::chrono::milliseconds kLook{5};

std::size_t At(Index head) { return static_cast<std::size_t>(head); }

absl::Status Stopped(const StopToken& stop) {
  absl::Status status = StopStatus(stop);
  return status.ok() ? absl::AbortedError("asked to stop before the turn came")
                     : status;
}

}  // namespace

void SessionSeat::Leave() {
  const std::lock_guard lock(session_.mutex_);
  if (session_.seat_ == this) session_.seat_ = nullptr;
  if (ended_.ok()) ended_ = absl::CancelledError("the stream has ended");
}

absl::Status SessionSeat::status() const {
  const std::lock_guard lock(session_.mutex_);
  return ended_;
}

OnePassOptions PassOptions(const SetDescription& description,
                           StorageType storage, Index first_index) {
  return {.columns = description.columns,
          .storage = storage,
          .epsilon = description.epsilon.value_or(1.0),
          .top_m = description.top_m,
          .function = description.function,
          .causal = description.causal,
          .first_index = first_index};
}

// As long as it lives nobody else touches the passes.
class KeySession::Turn {
 public:
  explicit Turn(KeySession* session) : session_(session) {}
  Turn(Turn&& other) noexcept
      : session_(std::exchange(other.session_, nullptr)) {}
  Turn& operator=(Turn&&) = delete;
  ~Turn() {
    if (session_ == nullptr) return;
    const std::lock_guard lock(session_->mutex_);
    session_->turn_taken_ = false;
    session_->turn_free_.notify_one();
  }

 private:
  KeySession* session_;
};

KeySession::KeySession(Origin origin, std::vector<OnePassUniversalSet> passes)
    : StoredSet(origin.description),
      origin_(std::move(origin)),
      passes_(std::move(passes)),
      finished_(origin_.finished) {
  for (const OnePassUniversalSet& pass : passes_) {
    // The next key follows the largest index seen.
    const std::vector<KeyRange> ranges = pass.ranges();
    const Index next = ranges.empty()
                           ? pass.options().first_index
                           : ranges.back().first + ranges.back().count;
    index_base_.push_back(next - pass.keys());
  }
  NoteProgress();
}

void KeySession::NoteProgress() {
  std::vector<Index> keys;
  double bytes = 0.0;
  for (const OnePassUniversalSet& pass : passes_) {
    keys.push_back(pass.keys());
    bytes += pass.bytes();
  }
  const std::lock_guard lock(mutex_);
  keys_ = std::move(keys);
  bytes_ = bytes;
}

SetState KeySession::state() const {
  const std::lock_guard lock(mutex_);
  if (finished_) return SetState::kFinished;
  return seat_ != nullptr ? SetState::kReceiving : SetState::kSuspended;
}

std::vector<Index> KeySession::keys() const {
  const std::lock_guard lock(mutex_);
  return keys_;
}

bool KeySession::broken() const {
  const std::lock_guard lock(mutex_);
  return broken_;
}

Index KeySession::index_base(Index head) const { return index_base_[At(head)]; }

double KeySession::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

void KeySession::Deleted() {
  const std::lock_guard lock(mutex_);
  deleted_ = true;
  if (seat_ == nullptr) return;
  seat_->ended_ = SetNotFoundError(origin_.name);
  seat_->wake_();
  seat_ = nullptr;
}

absl::StatusOr<std::shared_ptr<SessionSeat>> KeySession::Attach(
    std::function<void()> wake) {
  const std::shared_ptr<SessionSeat> seat(
      new SessionSeat(*this, std::move(wake)));
  const std::lock_guard lock(mutex_);
  if (finished_) return SetFinishedError(origin_.name);
  if (deleted_) return SetNotFoundError(origin_.name);
  if (seat_ != nullptr) {
    seat_->ended_ = TakenOverError(origin_.name);
    seat_->wake_();
  }
  seat_ = seat.get();
  return seat;
}

absl::StatusOr<KeySession::Turn> KeySession::TakeTurn(
    const ComputeContext& context) {
  std::unique_lock lock(mutex_);
  while (turn_taken_) {
    if (context.stop.stop_requested()) return Stopped(context.stop);
    turn_free_.wait_for(lock, kLook);
  }
  if (broken_) {
    return absl::FailedPreconditionError(
        origin_.name +
        " ran out of memory in the middle of a chunk; start again");
  }
  turn_taken_ = true;
  return Turn(this);
}

absl::Status KeySession::Settle(const ComputeContext& context) {
  return TakeTurn(context).status();
}

absl::Status KeySession::Add(const SessionSeat& seat, const Chunk& chunk,
                             const ComputeContext& context) {
  const absl::StatusOr<Turn> turn = TakeTurn(context);
  if (!turn.ok()) return turn.status();
  if (absl::Status seated = seat.status(); !seated.ok()) return seated;
  absl::Status added;
  try {
    added = AddInTurn(chunk, context);
  } catch (...) {
    const std::lock_guard lock(mutex_);
    broken_ = true;
    throw;
  }
  NoteProgress();
  return added;
}

absl::Status KeySession::AddInTurn(const Chunk& chunk,
                                   const ComputeContext& context) {
  if (chunk.head.has_value()) {
    return passes_[At(*chunk.head)].Add(chunk.keys.front(), context);
  }
  if (passes_.size() == 1) {
    return passes_.front().Add(chunk.keys.front(), context);
  }
  return AddToAll(chunk, context);
}

absl::Status KeySession::AddToAll(const Chunk& chunk,
                                  const ComputeContext& context) {
  // No head may take its part before all parts are known to be good; and once
  // one has, the others must, stop or no stop: it is 1 MiB at most.
  Index row = 0;
  for (const AnyMatrixView& part : chunk.keys) {
    absl::Status finite = CheckFinite(part, "keys", context, row);
    if (!finite.ok()) return finite;
    row += Rows(part);
  }
  if (context.stop.stop_requested()) return Stopped(context.stop);
  const ComputeContext to_the_end{.workers = context.workers};
  std::vector<absl::Status> added(passes_.size());
  context.workers.ParallelFor(
      static_cast<Index>(passes_.size()), {}, [&](Index head) {
        added[At(head)] =
            passes_[At(head)].Add(chunk.keys[At(head)], to_the_end);
      });
  for (const absl::Status& status : added) {
    if (status.ok()) continue;
    const std::lock_guard lock(mutex_);
    broken_ = true;
    return status;
  }
  return absl::OkStatus();
}

template <typename Result>
absl::StatusOr<std::vector<Result>> KeySession::OfEachHead(
    const ComputeContext& context,
    absl::FunctionRef<absl::StatusOr<Result>(const OnePassUniversalSet&,
                                             const ComputeContext&)>
        of_head) {
  // Progress comes from one thread at a time or not at all.
  const ComputeContext quiet{context.workers, context.stop, {}};
  std::vector<absl::StatusOr<Result>> results(
      passes_.size(), absl::AbortedError("not started"));
  context.workers.ParallelFor(
      static_cast<Index>(passes_.size()), context.stop, [&](Index head) {
        results[At(head)] = of_head(passes_[At(head)], quiet);
      });
  if (context.stop.stop_requested()) return Stopped(context.stop);
  std::vector<Result> all;
  for (absl::StatusOr<Result>& result : results) {
    if (!result.ok()) return result.status();
    all.push_back(*std::move(result));
  }
  return all;
}

absl::StatusOr<std::vector<UniversalSet>> KeySession::Sets(
    const ComputeContext& context) {
  const absl::StatusOr<Turn> turn = TakeTurn(context);
  if (!turn.ok()) return turn.status();
  if (final_sets_.has_value()) return *final_sets_;
  auto sets = OfEachHead<UniversalSet>(
      context,
      [](const OnePassUniversalSet& pass, const ComputeContext& quiet) {
        return pass.Snapshot(quiet);
      });
  if (sets.ok() && state() == SetState::kFinished) final_sets_ = *sets;
  return sets;
}

absl::StatusOr<std::vector<QueryableSet>> KeySession::Queryable(
    const ComputeContext& context) {
  const absl::StatusOr<Turn> turn = TakeTurn(context);
  if (!turn.ok()) return turn.status();
  if (final_heads_.has_value()) return *final_heads_;
  auto heads = OfEachHead<QueryableSet>(
      context,
      [](const OnePassUniversalSet& pass, const ComputeContext& quiet) {
        return pass.Queryable(quiet);
      });
  if (heads.ok() && state() == SetState::kFinished) {
    double held = bytes();
    for (const QueryableSet& head : *heads) held += head.bytes();
    if (held <= origin_.bytes_reserved) final_heads_ = *heads;
  }
  return heads;
}

absl::StatusOr<std::vector<UniversalSet>> KeySession::Finish(
    const SessionSeat& seat, const ComputeContext& context) {
  auto sets = Sets(context);
  if (!sets.ok()) return sets;
  const std::lock_guard lock(mutex_);
  if (!seat.ended_.ok()) return seat.ended_;
  finished_ = true;
  return sets;
}

absl::StatusOr<std::vector<OnePassState>> KeySession::Export(
    const ComputeContext& context) {
  const absl::StatusOr<Turn> turn = TakeTurn(context);
  if (!turn.ok()) return turn.status();
  return OfEachHead<OnePassState>(
      context, [](const OnePassUniversalSet& pass,
                  const ComputeContext& quiet) { return pass.Export(quiet); });
}

absl::Status KeySession::MergeInto(std::vector<OnePassUniversalSet>& passes,
                                   const ComputeContext& context) {
  const absl::StatusOr<Turn> turn = TakeTurn(context);
  if (!turn.ok()) return turn.status();
  for (std::size_t head = 0; head < passes_.size(); ++head) {
    absl::Status merged = passes[head].Merge(passes_[head], context);
    if (!merged.ok()) return merged;
  }
  return absl::OkStatus();
}

Cost KeySession::cost() const {
  const Cost of_head =
      CostOfOnePass(PassOptions(description(), origin_.storage, 0),
                    /*block_rows=*/1, origin_.workers);
  const auto heads = static_cast<double>(description().heads);
  const double at_once = std::min(heads, static_cast<double>(origin_.workers));
  const double members = bytes();
  return {.flops = heads * of_head.flops,
          .bytes = at_once * of_head.bytes + 2.0 * members};
}

}  // namespace steelyard::server
