#include "steelyard/stop_token.h"

#include <limits>

namespace steelyard {
namespace {

constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

std::int64_t Ticks(StopToken::Clock::time_point time) {
  return time.time_since_epoch().count();
}

}  // namespace

struct StopToken::State {
  std::atomic<int> reason{0};
  std::atomic<std::int64_t> deadline{kNever};
  std::atomic<std::int64_t> time_limit{kNever};
  std::atomic<std::int64_t> looks{0};
  std::atomic<std::int64_t> looks_after_stop{0};
  std::atomic<std::int64_t> stop_at_look{kNever};

  void Stop(StopReason why) {
    int none = 0;
    reason.compare_exchange_strong(none, static_cast<int>(why));
  }
};

StopReason StopToken::reason() const {
  if (state_ == nullptr) return StopReason::kNone;
  const std::int64_t look = 1 + state_->looks.fetch_add(1);
  if (look >= state_->stop_at_look.load()) state_->Stop(StopReason::kCancelled);
  if (state_->reason.load() == 0) {
    const std::int64_t deadline = state_->deadline.load();
    const std::int64_t time_limit = state_->time_limit.load();
    if (deadline != kNever || time_limit != kNever) {
      const std::int64_t now = Ticks(Clock::now());
      if (now >= deadline) {
        state_->Stop(StopReason::kDeadline);
      } else if (now >= time_limit) {
        state_->Stop(StopReason::kTimeLimit);
      }
    }
  }
  const auto why = static_cast<StopReason>(state_->reason.load());
  if (why != StopReason::kNone) state_->looks_after_stop.fetch_add(1);
  return why;
}

std::int64_t StopToken::looks() const {
  return state_ == nullptr ? 0 : state_->looks.load();
}

std::int64_t StopToken::looks_after_stop() const {
  return state_ == nullptr ? 0 : state_->looks_after_stop.load();
}

StopSource::StopSource() : state_(std::make_shared<StopToken::State>()) {}

void StopSource::RequestStop(StopReason reason) { state_->Stop(reason); }

void StopSource::StopAt(StopToken::Clock::time_point time, StopReason reason) {
  auto& slot = reason == StopReason::kTimeLimit ? state_->time_limit
                                                : state_->deadline;
  slot.store(Ticks(time));
}

void StopSource::StopAtLook(std::int64_t look) {
  state_->stop_at_look.store(look);
}

absl::Status StopStatus(const StopToken& stop) {
  switch (stop.reason()) {
    case StopReason::kCancelled:
      return absl::CancelledError("the call was cancelled");
    case StopReason::kDeadline:
      return absl::DeadlineExceededError(
          "the deadline of the call passed before the work was done");
    case StopReason::kNone:
    case StopReason::kTimeLimit:
    case StopReason::kDraining:
      return absl::OkStatus();
  }
  return absl::OkStatus();
}

}  // namespace steelyard
