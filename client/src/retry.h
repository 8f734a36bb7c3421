// When a failed attempt is made again, and how long to wait before it.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <stop_token>

#include "absl/status/status.h"
#include "steelyard/client/options.h"

namespace steelyard::client {

// The end of a whole call.
class Deadline {
 public:
  // `budget` from now; kNoDeadline, and anything above a century: never.
  explicit Deadline(Seconds budget);

  // Infinite where there is no end; negative once it has passed.
  Seconds left() const;

 private:
  std::optional<std::chrono::steady_clock::time_point> end_;
};

// OK, or InvalidArgument naming the field of the policy that is out of range.
absl::Status Validate(const RetryPolicy& policy);

// How long to wait after attempt number `attempt` (from 1) ended with
// `failure`; nullopt: it must not be made again. u: uniform in [0, 1).
std::optional<Seconds> DelayAfter(const RetryPolicy& policy, int attempt,
                                  const absl::Status& failure, double u);

// Runs `attempt(1)`, `attempt(2)`, ... until one succeeds or must not be made
// again. Returns the last status, or CANCELLED when `stop` ended a wait.
absl::Status RunWithRetries(
    const RetryPolicy& policy, const Deadline& deadline, std::stop_token stop,
    const std::function<absl::Status(int number)>& attempt);

}  // namespace steelyard::client
