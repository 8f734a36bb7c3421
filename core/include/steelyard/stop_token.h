// How a caller stops work that is under way.
//
// One StopSource a request; copies of its token go into every loop. A loop
// looks at stop_requested() between blocks of at most a few milliseconds.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"

namespace steelyard {

// Why work was stopped. The first reason wins.
enum class StopReason : int {
  kNone = 0,
  kCancelled,  // by the caller, or the caller is gone: the work is an error
  kDeadline,   // of the call: the work is an error
  kTimeLimit,  // of the request: the best answer so far is wanted
  kDraining,   // of the server: the best answer so far is wanted
};

class StopToken {
 public:
  using Clock = std::chrono::steady_clock;

  // A token that is never stopped.
  StopToken() = default;

  // True once somebody asked to stop or a time has passed. Costs one load and,
  // where a time is set, one reading of the clock. Never turns false again.
  bool stop_requested() const { return reason() != StopReason::kNone; }

  StopReason reason() const;

  // True when the work is to end with an error instead of the best answer.
  bool answer_unwanted() const {
    const StopReason why = reason();
    return why == StopReason::kCancelled || why == StopReason::kDeadline;
  }

  // How often anybody asked; for tests that count blocks after a stop.
  std::int64_t looks() const;
  // Of these, how often the answer was "stop".
  std::int64_t looks_after_stop() const;

 private:
  friend class StopSource;
  struct State;
  explicit StopToken(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

class StopSource {
 public:
  StopSource();

  StopToken token() const { return StopToken(state_); }

  // Safe from any thread, any number of times.
  void RequestStop(StopReason reason);

  // At this time the token stops with `reason`. Call before the work starts.
  // One time for each of kDeadline and kTimeLimit.
  void StopAt(StopToken::Clock::time_point time, StopReason reason);

  // For tests: stops with kCancelled at the given look (1: the first).
  void StopAtLook(std::int64_t look);

 private:
  std::shared_ptr<StopToken::State> state_;
};

// CANCELLED or DEADLINE_EXCEEDED for a token whose answer is unwanted, OK
// otherwise.
absl::Status StopStatus(const StopToken& stop);

}  // namespace steelyard
