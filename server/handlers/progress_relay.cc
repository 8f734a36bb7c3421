#include "server/handlers/progress_relay.h"

#include <algorithm>
#include <string_view>

namespace steelyard::server {
namespace {

bool IsWork(std::string_view phase) {
  return phase != "queue" && phase != "wait";
}

// Below this share of the work its speed says nothing about the rest.
constexpr double kTellingFraction = 0.02;

}  // namespace

void ProgressRelay::Update(const ProgressUpdate& update,
                           Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  std::optional<double> fraction = newest_.fraction;
  if (update.fraction.has_value()) {
    fraction = std::max(fraction.value_or(0.0),
                        std::clamp(*update.fraction, 0.0, 1.0));
  }
  if (!work_began_.has_value() && IsWork(update.phase)) {
    work_began_ = {.time = now, .fraction = fraction.value_or(0.0)};
  }
  phase_ = update.phase;
  newest_ = update;
  newest_.fraction = fraction;
  changed_ = true;
}

std::optional<ProgressRelay::Message> ProgressRelay::Due(
    Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  if (last_message_.has_value()) {
    const auto pace = changed_ ? kBetweenMessages : kHeartbeat;
    if (now - *last_message_ < pace) return std::nullopt;
  }
  last_message_ = now;
  changed_ = false;
  sent_phase_ = phase_;
  Message message{
      .update = newest_, .elapsed = now - arrival_, .time_left = {}};
  message.update.phase = sent_phase_;
  const double done = newest_.fraction.value_or(0.0);
  const double seen = work_began_ ? done - work_began_->fraction : 0.0;
  if (seen >= kTellingFraction) {
    const std::chrono::duration<double> so_far = now - work_began_->time;
    message.time_left = std::chrono::duration_cast<std::chrono::nanoseconds>(
        so_far * ((1.0 - done) / seen));
  }
  return message;
}

}  // namespace steelyard::server
