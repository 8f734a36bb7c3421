// From the thread that computes to the stream: the newest progress, at the
// stream's pace.
//
// Outlives the call when the work does.
#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "steelyard/progress.h"

namespace steelyard::server {

class ProgressRelay {
 public:
  using Clock = std::chrono::steady_clock;

  // At most 5 messages a second.
  static constexpr std::chrono::milliseconds kBetweenMessages{200};
  // Even when nothing changes: the caller sees that we live.
  static constexpr std::chrono::milliseconds kHeartbeat{1000};

  explicit ProgressRelay(Clock::time_point arrival) : arrival_(arrival) {}

  // Any thread. Returns at once. Phases "queue" and "wait" are no work yet.
  void Update(const ProgressUpdate& update, Clock::time_point now);

  struct Message {
    ProgressUpdate update;  // its phase lives until the next Due
    std::chrono::nanoseconds elapsed{0};
    // From the speed since the first that was heard of the work, which may have
    // been under way (others' factor); unset: unknown.
    std::optional<std::chrono::nanoseconds> time_left;
  };
  // The transport thread: what to send now, if anything. The first call is due
  // at once, in phase "queue" when the work has not begun.
  std::optional<Message> Due(Clock::time_point now);

 private:
  const Clock::time_point arrival_;

  std::mutex mutex_;
  std::string phase_ = "queue";
  ProgressUpdate newest_;
  // The first that was heard of the work: a call may join it midway.
  struct Mark {
    Clock::time_point time;
    double fraction = 0.0;
  };
  std::optional<Mark> work_began_;
  bool changed_ = false;

  // The transport thread's own.
  std::optional<Clock::time_point> last_message_;
  std::string sent_phase_;
};

}  // namespace steelyard::server
