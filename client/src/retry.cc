#include "retry.h"

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <mutex>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "error_codec.h"

namespace steelyard::client {
namespace {

constexpr Seconds kCentury{100.0 * 365.0 * 86400.0};

absl::Status OutOfRange(const std::string& field, double value,
                        const std::string& rule) {
  return LocalError(absl::StatusCode::kInvalidArgument,
                    absl::StrCat(field, " is ", value, "; it must be ", rule),
                    {.reason = "FIELD_OUT_OF_RANGE", .field = field});
}

double UniformBelowOne() {
  thread_local std::mt19937_64 engine{std::random_device{}()};
  return std::uniform_real_distribution<double>(0.0, 1.0)(engine);
}

// False when stopped before the time was over.
bool Wait(Seconds delay, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, stop, delay, [] { return false; });
  return !stop.stop_requested();
}

}  // namespace

Deadline::Deadline(Seconds budget) {
  if (budget > kCentury) return;
  end_ =
      std::chrono::steady_clock::now() +
      std::chrono::duration_cast<std::chrono::steady_clock::duration>(budget);
}

Seconds Deadline::left() const {
  if (!end_.has_value()) return kNoDeadline;
  return *end_ - std::chrono::steady_clock::now();
}

absl::Status Validate(const RetryPolicy& policy) {
  if (policy.attempts_max < 1) {
    return OutOfRange("retry.attempts_max", policy.attempts_max, ">= 1");
  }
  const double first = policy.first_delay.count();
  if (!(first >= 0.0 && std::isfinite(first))) {
    return OutOfRange("retry.first_delay", first, ">= 0 s and finite");
  }
  if (!(policy.delay_max >= policy.first_delay &&
        policy.delay_max <= kCentury)) {
    return OutOfRange("retry.delay_max", policy.delay_max.count(),
                      ">= first_delay, and at most a century");
  }
  if (!(policy.multiplier >= 1.0 && std::isfinite(policy.multiplier))) {
    return OutOfRange("retry.multiplier", policy.multiplier, ">= 1 and finite");
  }
  if (!(policy.jitter >= 0.0 && policy.jitter <= 1.0)) {
    return OutOfRange("retry.jitter", policy.jitter, "in [0, 1]");
  }
  return absl::OkStatus();
}

std::optional<Seconds> DelayAfter(const RetryPolicy& policy, int attempt,
                                  const absl::Status& failure, double u) {
  const std::optional<ErrorDetail> detail = DetailOf(failure);
  const bool asked = detail.has_value() && detail->retry_delay.has_value();
  if (!asked && !absl::IsUnavailable(failure)) return std::nullopt;
  if (attempt >= policy.attempts_max) return std::nullopt;
  const double backoff =
      policy.first_delay.count() * std::pow(policy.multiplier, attempt - 1);
  double wait = std::min(backoff, policy.delay_max.count());
  if (asked) wait = std::max(wait, detail->retry_delay->count());
  return Seconds(wait * (1.0 + policy.jitter * u));
}

absl::Status RunWithRetries(
    const RetryPolicy& policy, const Deadline& deadline, std::stop_token stop,
    const std::function<absl::Status(int number)>& attempt) {
  absl::Status outcome;
  for (int number = 1; number <= policy.attempts_max; ++number) {
    outcome = attempt(number);
    if (outcome.ok() || stop.stop_requested()) return outcome;
    const std::optional<Seconds> delay =
        DelayAfter(policy, number, outcome, UniformBelowOne());
    if (!delay.has_value() || *delay >= deadline.left()) return outcome;
    if (!Wait(*delay, stop)) {
      return absl::CancelledError(
          absl::StrCat("stopped by the caller while waiting to try again "
                       "after: ",
                       outcome.ToString()));
    }
  }
  return outcome;
}

}  // namespace steelyard::client
