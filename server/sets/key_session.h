// A session of streamed keys: one pass a head, under a name, with or without a
// stream attached.
//
//   kSuspended --Attach--> kReceiving --seat gone--> kSuspended
//   kReceiving --Finish--> kFinished
//
// One stream at a time sits on a session; who attaches next takes the seat, and
// what the one before still computes no longer changes the session. All work on
// the passes takes turns.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/sets/stored_set.h"
#include "steelyard/one_pass.h"

namespace steelyard::server {

class KeySession;

// A stream's place at a session. The session must outlive it.
class SessionSeat {
 public:
  ~SessionSeat() { Leave(); }
  SessionSeat(const SessionSeat&) = delete;
  SessionSeat& operator=(const SessionSeat&) = delete;

  // OK while the stream may go on. ERRORS  Aborted TAKEN_OVER; NotFound: the
  // session was deleted. Cancelled: after Leave.
  absl::Status status() const;

  // The stream goes; `wake` is not called any more. Work of the stream may keep
  // the seat, but no longer changes the session.
  void Leave();

 private:
  friend class KeySession;
  SessionSeat(KeySession& session, std::function<void()> wake)
      : session_(session), wake_(std::move(wake)) {}

  KeySession& session_;
  const std::function<void()> wake_;
  absl::Status ended_;  // guarded by the session's mutex
};

// Options of the passes of a session. `first_index`: global index of the first
// key.
OnePassOptions PassOptions(const SetDescription& description,
                           StorageType storage, Index first_index);

class KeySession final : public StoredSet {
 public:
  struct Origin {
    std::string name;  // "universalSets/{id}", for errors
    SetDescription description;
    StorageType storage = StorageType::kFloat32;
    bool finished = false;  // from the start: a merged set
    // Reserved for it; what queries need is kept beside the passes where it
    // fits.
    double bytes_reserved = 0.0;
    int workers = 1;  // that work on it at once
  };
  // `passes`: one a head.
  KeySession(Origin origin, std::vector<OnePassUniversalSet> passes);

  StorageType storage() const { return origin_.storage; }
  const std::string& name() const { return origin_.name; }

  SetState state() const override;
  std::vector<Index> keys() const override;
  void Deleted() override;
  absl::StatusOr<std::vector<UniversalSet>> Sets(
      const ComputeContext& context) override;
  absl::StatusOr<std::vector<QueryableSet>> Queryable(
      const ComputeContext& context) override;
  Cost cost() const override;
  // Held by the passes as of the last chunk.
  double bytes() const;
  // Added to the offset of a key of this head, its global index.
  Index index_base(Index head) const;

  // A stream sits down; the one that sits there ends with TAKEN_OVER. `wake` is
  // called from any thread when the seat is lost. ERRORS  FailedPrecondition
  // SET_FINISHED.
  absl::StatusOr<std::shared_ptr<SessionSeat>> Attach(
      std::function<void()> wake);

  // What follows is admitted work, as Sets.

  // Waits until nobody else works on the passes: then keys() does not change
  // but by the stream that sits here.
  absl::Status Settle(const ComputeContext& context);

  // The next keys of one head, or of all (then one view a head, of equal rows).
  // All of the chunk or, with an error, none of it.
  // ERRORS  those of the seat; NOT_FINITE, the row counted through the views;
  //         `context.stop`.
  struct Chunk {
    std::optional<Index> head;
    absl::Span<const AnyMatrixView> keys;
  };
  absl::Status Add(const SessionSeat& seat, const Chunk& chunk,
                   const ComputeContext& context);

  // The final sets; then the session is finished.
  absl::StatusOr<std::vector<UniversalSet>> Finish(
      const SessionSeat& seat, const ComputeContext& context);

  absl::StatusOr<std::vector<OnePassState>> Export(
      const ComputeContext& context);

  // Adds the keys of this session to `passes`, one a head. ERRORS  those of
  // OnePassUniversalSet::Merge, and then some heads may have been merged.
  absl::Status MergeInto(std::vector<OnePassUniversalSet>& passes,
                         const ComputeContext& context);

  // True after a failure in the middle of a chunk (no memory): heads no longer
  // agree, and nothing can be had from the session.
  bool broken() const;

 private:
  friend class SessionSeat;
  class Turn;

  absl::StatusOr<Turn> TakeTurn(const ComputeContext& context);
  // In a turn.
  void NoteProgress();
  absl::Status AddInTurn(const Chunk& chunk, const ComputeContext& context);
  absl::Status AddToAll(const Chunk& chunk, const ComputeContext& context);
  template <typename Result>
  absl::StatusOr<std::vector<Result>> OfEachHead(
      const ComputeContext& context,
      absl::FunctionRef<absl::StatusOr<Result>(const OnePassUniversalSet&,
                                               const ComputeContext&)>
          of_head);

  const Origin origin_;
  std::vector<Index> index_base_;
  // Touched in turns only.
  std::vector<OnePassUniversalSet> passes_;
  std::optional<std::vector<UniversalSet>> final_sets_;
  std::optional<std::vector<QueryableSet>> final_heads_;

  mutable std::mutex mutex_;
  std::condition_variable turn_free_;
  bool turn_taken_ = false;
  bool finished_ = false;
  bool broken_ = false;
  bool deleted_ = false;
  SessionSeat* seat_ = nullptr;
  std::vector<Index> keys_;
  double bytes_ = 0.0;
};

}  // namespace steelyard::server
