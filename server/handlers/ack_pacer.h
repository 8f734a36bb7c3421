// When a stream of keys is due an acknowledgement: at least every 8 MiB or
// 0.25 s while chunks arrive, at most 20 a second.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

namespace steelyard::server {

class AckPacer {
 public:
  using Clock = std::chrono::steady_clock;

  static constexpr std::int64_t kBytes = std::int64_t{8} << 20;
  static constexpr std::chrono::milliseconds kMost{250};
  static constexpr std::chrono::milliseconds kLeast{50};

  explicit AckPacer(Clock::time_point now) : last_ack_(now) {}

  // Keys of so many bytes have been taken in.
  void Taken(std::int64_t bytes, Clock::time_point now) {
    if (bytes_ == 0) first_taken_ = now;
    bytes_ += bytes;
  }

  // When the next ack is due; unset: nothing has been taken in.
  std::optional<Clock::time_point> Due() const {
    if (bytes_ == 0) return std::nullopt;
    const Clock::time_point earliest = last_ack_ + kLeast;
    if (bytes_ >= kBytes) return earliest;
    return std::max(earliest, first_taken_ + kMost);
  }

  void Acked(Clock::time_point now) {
    last_ack_ = now;
    bytes_ = 0;
  }

 private:
  Clock::time_point last_ack_;
  Clock::time_point first_taken_;
  std::int64_t bytes_ = 0;
};

}  // namespace steelyard::server
