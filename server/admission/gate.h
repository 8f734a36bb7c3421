// Who may compute, when, and with how much memory.
//
//   Enter    refuses at once, or reserves the request's memory and its place
//   Compute  runs the work on a lane; the transport thread waits for it, looks
//            every 10 ms whether its caller is still there, and leaves without
//            the result when it is not
//
// Two lanes. Large work comes one at a time and uses all workers. Small work
// runs beside it, each on one thread of its own: in the pool it would wait for
// a worker behind the blocks of the large one.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/admission/await.h"
#include "server/admission/job.h"
#include "server/admission/lane.h"
#include "server/admission/memory_budget.h"
#include "server/request/request_context.h"
#include "steelyard/cost.h"
#include "steelyard/workers.h"

namespace steelyard::server {

class Gate;

// What a request asks for.
struct Demand {
  Cost cost;  // the most it takes: memory to reserve, choice of the lane
  double least_flops = 0.0;  // no road to the answer takes fewer
  // A step of a stream that was admitted as a whole: it waits in the lane like
  // any work, but is not refused for want of a place or because of a drain, and
  // takes all workers when nobody else wants them.
  bool of_stream = false;
};

// An admitted request: its place and its memory, until the ticket and the work
// are both gone. The gate must outlive it.
class AdmissionTicket {
 public:
  // Runs `work`, a function ComputeContext -> StatusOr<T>, and returns what it
  // returns. `work` owns all that it uses (or shares ownership): when the
  // caller is gone first, this returns CANCELLED or DEADLINE_EXCEEDED at once
  // and the work goes on to its next look at the stop token. Throws what the
  // work throws.
  //
  // Once a ticket.
  template <typename Work>
  auto Compute(RequestContext& context, Work work, Listener listener = {})
      -> std::invoke_result_t<Work, const ComputeContext&> {
    return Compute(place_, context, std::move(work), std::move(listener));
  }

  // The same, and place and memory are the work's alone: a caller that is slow
  // to hear of its end (`look` waits for a socket) holds nobody up.
  template <typename Work>
  auto ComputeAndLeave(
      RequestContext& context, Work work,
      Listener listener =
          {}) && -> std::invoke_result_t<Work, const ComputeContext&> {
    return Compute(std::move(place_), context, std::move(work),
                   std::move(listener));
  }

  // For work that several tickets share (factors/): the lane that it waits in,
  // whether that is the one of small work, what keeps the ticket's place and
  // memory, and the least time that this request takes.
  Lane& lane() const;
  bool small() const;
  std::shared_ptr<const void> place() const;
  double least_seconds() const;

  // After Compute: leaves the lane to others and keeps the memory, at most
  // `bytes` of it, for what came of the work.
  MemoryReservation Keep(double bytes) &&;

 private:
  friend class Gate;
  struct Place;
  explicit AdmissionTicket(std::shared_ptr<Place> place)
      : place_(std::move(place)) {}

  template <typename Work>
  static auto Compute(std::shared_ptr<Place> place, RequestContext& context,
                      Work work, Listener listener)
      -> std::invoke_result_t<Work, const ComputeContext&> {
    using Result = std::invoke_result_t<Work, const ComputeContext&>;
    auto result = std::make_shared<std::optional<Result>>();
    const absl::Status ran = Run(
        std::move(place), context,
        [work = std::move(work), result](const ComputeContext& compute) {
          result->emplace(work(compute));
        },
        std::move(listener));
    if (!ran.ok()) return ran;
    if (!(*result)->ok()) return Explained((*result)->status(), context);
    return **std::move(*result);
  }
  static absl::Status Run(std::shared_ptr<Place> place, RequestContext& context,
                          Job::Work work, Listener listener);
  // An answer that a drain cut off before there was a best one is UNAVAILABLE.
  static absl::Status Explained(const absl::Status& status,
                                const RequestContext& context);

  std::shared_ptr<Place> place_;
};

class Gate {
 public:
  // Work up to here is small: about 0.1 s of one core at 10 Gflop/s.
  static constexpr double kSmallFlops = 1e9;

  struct Settings {
    std::int64_t memory_budget = 0;
    std::int64_t queue_length = 0;
  };
  // `workers` must outlive the gate.
  Gate(const Workers& workers, const Settings& settings);

  // ERRORS  Unavailable DRAINING. ResourceExhausted LIMIT_EXCEEDED: needs more
  //         than the whole budget. DeadlineExceeded DEADLINE_TOO_SHORT.
  //         ResourceExhausted with a retry delay, QUEUE_FULL, MEMORY_BUDGET.
  absl::StatusOr<AdmissionTicket> Enter(const Demand& demand,
                                        const RequestContext& context);

  // Memory without work, for what a stream or a session holds between its
  // messages. The gate must outlive it. ERRORS  as Enter.
  absl::StatusOr<MemoryReservation> Reserve(double bytes);

  // From now on Enter and Reserve answer DRAINING.
  void StopAdmitting() { draining_.store(true); }
  bool draining() const { return draining_.load(); }
  // Asks all work for its best answer so far; refuses work not yet begun.
  void Interrupt();
  bool interrupted() const { return interrupted_.load(); }

  const MemoryBudget& memory() const { return memory_; }
  // Work that runs now, abandoned work included.
  int running() const { return large_.lane.running() + small_.lane.running(); }

 private:
  friend class AdmissionTicket;

  struct LaneWithPlaces {
    LaneWithPlaces(int runners, const Workers& workers)
        : lane(runners, workers) {}
    Lane lane;
    // Taken by tickets: of requests, which the queue bounds, and of steps of
    // streams, which bound themselves. Guarded by Gate::mutex_.
    int places = 0;
    int stream_places = 0;
    std::int64_t Waiting(int more) const;
  };

  // With the mutex held.
  LaneWithPlaces& LaneFor(const Demand& demand);
  absl::Status CheckBudget(double bytes) const;
  absl::StatusOr<MemoryReservation> TakeMemory(double bytes,
                                               const LaneWithPlaces& lane);
  double LeastSeconds(const Demand& demand,
                      const RequestContext& context) const;
  absl::StatusOr<LaneWithPlaces*> TakePlace(const Demand& demand);
  void LeavePlace(LaneWithPlaces& lane, bool of_stream);
  static std::chrono::milliseconds RetryDelay(const LaneWithPlaces& lane,
                                              std::int64_t waiting);

  const std::int64_t queue_length_;
  std::atomic<bool> draining_{false};
  std::atomic<bool> interrupted_{false};
  // Flops a second.
  const double rate_of_all_workers_;
  MemoryBudget memory_;
  const Workers one_worker_{1};
  std::mutex mutex_;
  // Last: their threads end before what they use.
  LaneWithPlaces large_;
  LaneWithPlaces small_;
};

}  // namespace steelyard::server
