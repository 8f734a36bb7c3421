#include "client/src/retry.h"

#include <atomic>
#include <thread>
#include <vector>

#include "client/src/error_codec.h"
#include "gtest/gtest.h"
#include "steelyard/v1/error_details.pb.h"

namespace steelyard::client {
namespace {

using std::chrono::steady_clock;
using namespace std::chrono_literals;

// A refusal as the server sends it when a queue is full.
absl::Status Busy(double retry_delay_seconds) {
  v1::RetryInfo retry;
  retry.mutable_retry_delay()->set_nanos(
      static_cast<std::int32_t>(retry_delay_seconds * 1e9));
  v1::RpcStatus wire;
  google::protobuf::Any* any = wire.add_details();
  any->set_type_url("type.googleapis.com/google.rpc.RetryInfo");
  any->set_value(retry.SerializeAsString());
  return StatusFromWire(8, "queue full", wire.SerializeAsString());
}

RetryPolicy Fast() {
  return {.attempts_max = 4,
          .first_delay = 1ms,
          .delay_max = 4ms,
          .multiplier = 2.0,
          .jitter = 0.0};
}

Seconds Since(steady_clock::time_point start) {
  return steady_clock::now() - start;
}

TEST(RetryTest, OnlyUnavailableAndRetryInfoAreTriedAgain) {
  for (int code = 1; code <= 16; ++code) {
    const auto canonical = static_cast<absl::StatusCode>(code);
    const absl::Status failure(canonical, "x");
    EXPECT_EQ(DelayAfter(RetryPolicy{}, 1, failure, 0.0).has_value(),
              canonical == absl::StatusCode::kUnavailable)
        << failure;
  }
  EXPECT_TRUE(DelayAfter(RetryPolicy{}, 1, Busy(0.0), 0.0).has_value());
}

TEST(RetryTest, ResourceExhaustedWithOtherDetailsIsNotTriedAgain) {
  const absl::Status over_a_limit =
      LocalError(absl::StatusCode::kResourceExhausted, "too large",
                 {.reason = "LIMIT_EXCEEDED"});
  EXPECT_FALSE(DelayAfter(RetryPolicy{}, 1, over_a_limit, 0.0).has_value());
}

TEST(RetryTest, WaitsGrowByTheMultiplierUpToTheMaximum) {
  const RetryPolicy policy{.attempts_max = 10,
                           .first_delay = 100ms,
                           .delay_max = 1s,
                           .multiplier = 3.0,
                           .jitter = 0.0};
  const absl::Status failure = absl::UnavailableError("down");
  const std::vector<double> expected = {0.1, 0.3, 0.9, 1.0, 1.0};
  for (std::size_t k = 0; k < expected.size(); ++k) {
    const auto delay =
        DelayAfter(policy, static_cast<int>(k) + 1, failure, 0.5);
    ASSERT_TRUE(delay.has_value());
    EXPECT_DOUBLE_EQ(delay->count(), expected[k]);
  }
}

TEST(RetryTest, NeverSoonerThanTheServerAskedFor) {
  RetryPolicy policy{.first_delay = 1ms, .delay_max = 10ms};
  for (const double u : {0.0, 0.3, 0.999}) {
    const auto delay = DelayAfter(policy, 1, Busy(0.7), u);
    ASSERT_TRUE(delay.has_value());
    EXPECT_GE(delay->count(), 0.7);
    EXPECT_LE(delay->count(), 0.7 * (1.0 + policy.jitter));
  }
}

TEST(RetryTest, JitterSpreadsTheWaits) {
  const RetryPolicy policy{.first_delay = 100ms, .jitter = 0.5};
  const absl::Status failure = absl::UnavailableError("down");
  EXPECT_DOUBLE_EQ(DelayAfter(policy, 1, failure, 0.0)->count(), 0.1);
  EXPECT_DOUBLE_EQ(DelayAfter(policy, 1, failure, 0.8)->count(), 0.14);
}

TEST(RetryTest, TheLastAttemptIsNotFollowedByAWait) {
  const absl::Status failure = absl::UnavailableError("down");
  EXPECT_TRUE(DelayAfter(Fast(), 3, failure, 0.0).has_value());
  EXPECT_FALSE(DelayAfter(Fast(), 4, failure, 0.0).has_value());
}

TEST(RetryTest, AttemptsAreNumberedAndStopAtSuccess) {
  std::vector<int> numbers;
  const absl::Status outcome = RunWithRetries(
      Fast(), Deadline(kNoDeadline), {}, [&](int number) -> absl::Status {
        numbers.push_back(number);
        return number < 3 ? Busy(0.0) : absl::OkStatus();
      });
  EXPECT_TRUE(outcome.ok()) << outcome;
  EXPECT_EQ(numbers, (std::vector<int>{1, 2, 3}));
}

TEST(RetryTest, GivesUpWithTheLastFailure) {
  int calls = 0;
  const absl::Status outcome =
      RunWithRetries(Fast(), Deadline(kNoDeadline), {}, [&](int number) {
        ++calls;
        return absl::UnavailableError(std::to_string(number));
      });
  EXPECT_EQ(calls, 4);
  EXPECT_EQ(outcome, absl::UnavailableError("4"));
}

TEST(RetryTest, AWaitThatWouldPassTheDeadlineIsNotBegun) {
  const auto start = steady_clock::now();
  int calls = 0;
  const absl::Status outcome =
      RunWithRetries(Fast(), Deadline(500ms), {}, [&](int) {
        ++calls;
        return Busy(0.9);
      });
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(outcome.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_LT(Since(start), 500ms);
}

TEST(RetryTest, AStopEndsTheWait) {
  RetryPolicy policy = Fast();
  policy.first_delay = 60s;
  policy.delay_max = 60s;
  std::stop_source stop;
  std::atomic<bool> failed{false};
  std::thread stopper([&] {
    while (!failed) std::this_thread::yield();
    stop.request_stop();
  });
  const auto start = steady_clock::now();
  const absl::Status outcome =
      RunWithRetries(policy, Deadline(kNoDeadline), stop.get_token(), [&](int) {
        failed = true;
        return absl::UnavailableError("down");
      });
  stopper.join();
  EXPECT_EQ(outcome.code(), absl::StatusCode::kCancelled);
  EXPECT_LT(Since(start), 30s);
}

TEST(RetryTest, DeadlineRunsDown) {
  EXPECT_EQ(Deadline(kNoDeadline).left(), kNoDeadline);
  EXPECT_LE(Deadline(1s).left(), 1s);
  EXPECT_GT(Deadline(100s).left(), 10s);
}

TEST(RetryTest, PoliciesOutOfRangeAreNamed) {
  EXPECT_TRUE(Validate(RetryPolicy{}).ok());
  const auto field_of = [](const RetryPolicy& policy) {
    const absl::Status status = Validate(policy);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    const auto detail = DetailOf(status);
    return detail.has_value() ? detail->field : "";
  };
  EXPECT_EQ(field_of({.attempts_max = 0}), "retry.attempts_max");
  EXPECT_EQ(field_of({.first_delay = -1ms}), "retry.first_delay");
  EXPECT_EQ(field_of({.first_delay = 2s, .delay_max = 1s}), "retry.delay_max");
  EXPECT_EQ(field_of({.delay_max = kNoDeadline}), "retry.delay_max");
  EXPECT_EQ(field_of({.multiplier = 0.5}), "retry.multiplier");
  EXPECT_EQ(field_of({.jitter = 1.5}), "retry.jitter");
}

}  // namespace
}  // namespace steelyard::client
