#include "server/admission/job.h"

#include <utility>

#include "server/errors/errors.h"

namespace steelyard::server {
namespace {

double Seconds(Job::Clock::duration time) {
  return std::chrono::duration<double>(time).count();
}

}  // namespace

void Job::Run(const Workers& workers) {
  const Clock::time_point start = Clock::now();
  {
    const std::lock_guard lock(mutex_);
    timing_.queue = start - plan_.arrival;
  }
  const StopToken stop = plan_.stop.token();
  if (stop.answer_unwanted()) return Refuse(StopStatus(stop));
  if (plan_.deadline.has_value()) {
    const double remaining = Seconds(*plan_.deadline - start);
    if (remaining < plan_.least_seconds) {
      return Refuse(DeadlineTooShortError(plan_.least_seconds, remaining));
    }
  }
  if (plan_.time_limit.has_value() &&
      *plan_.time_limit < Clock::time_point::max() - start) {
    plan_.stop.StopAt(start + *plan_.time_limit, StopReason::kTimeLimit);
  }
  std::exception_ptr thrown;
  try {
    plan_.work({.workers = workers, .stop = stop, .progress = plan_.progress});
  } catch (...) {
    thrown = std::current_exception();
  }
  {
    const std::lock_guard lock(mutex_);
    timing_.compute = Clock::now() - start;
  }
  End(absl::OkStatus(), thrown);
}

void Job::Refuse(const absl::Status& status) { End(status, nullptr); }

void Job::End(const absl::Status& status, std::exception_ptr thrown) {
  // What the work holds goes before the memory that was reserved for it, and
  // both before anybody hears of the end.
  plan_.work = nullptr;
  plan_.progress = nullptr;
  plan_.reservation = nullptr;
  const std::lock_guard lock(mutex_);
  status_ = status;
  thrown_ = std::move(thrown);
  ended_ = true;
  ended_signal_.notify_all();
}

bool Job::WaitFor(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return ended_signal_.wait_for(lock, time, [this] { return ended_; });
}

absl::Status Job::Outcome() const {
  const std::lock_guard lock(mutex_);
  if (thrown_) std::rethrow_exception(thrown_);
  return status_;
}

Timing Job::timing() const {
  const std::lock_guard lock(mutex_);
  return timing_;
}

}  // namespace steelyard::server
