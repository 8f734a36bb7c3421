// One piece of admitted work on its way through a lane.
//
// The transport thread waits for it and may walk away; the job then goes on to
// its end by itself and owns everything it reads: the request message, the
// result's place, the reserved memory.
#pragma once

#include <chrono>
#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "server/convert/timing.h"
#include "steelyard/compute_context.h"
#include "steelyard/stop_token.h"

namespace steelyard::server {

class Job {
 public:
  using Clock = StopToken::Clock;
  using Work = std::function<void(const ComputeContext&)>;

  struct Plan {
    Work work;
    ProgressSink progress = {};
    StopSource stop;
    Clock::time_point arrival;
    std::optional<Clock::time_point> deadline;
    std::optional<std::chrono::nanoseconds> time_limit;
    // The work takes no less.
    double least_seconds = 0.0;
    // Given back when the work has ended, after everything the work holds.
    std::shared_ptr<const void> reservation;
  };

  explicit Job(Plan plan) : plan_(std::move(plan)) {}
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  // Lane: does the work on this thread, or refuses when the deadline is too
  // near by now. What the work throws waits for Outcome.
  void Run(const Workers& workers);

  // Lane: ends a job that has not begun.
  void Refuse(const absl::Status& status);

  // Asks the work to stop, with an error (kCancelled) or with its best answer
  // so far (kDraining).
  void Stop(StopReason reason) { plan_.stop.RequestStop(reason); }
  Clock::time_point arrival() const { return plan_.arrival; }
  bool answer_unwanted() const { return plan_.stop.token().answer_unwanted(); }

  // True once the job has ended; waits for that at most so long.
  bool WaitFor(std::chrono::milliseconds time);

  // After the end. OK: the work ran, what came of it is where the work put it.
  // Not OK: it never began. Throws what the work threw.
  absl::Status Outcome() const;
  Timing timing() const;

 private:
  void End(const absl::Status& status, std::exception_ptr thrown);

  Plan plan_;
  mutable std::mutex mutex_;
  std::condition_variable ended_signal_;
  bool ended_ = false;
  absl::Status status_;
  std::exception_ptr thrown_;
  Timing timing_;
};

}  // namespace steelyard::server
