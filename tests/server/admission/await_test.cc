#include "server/admission/await.h"

#include <chrono>
#include <optional>

#include "gtest/gtest.h"

namespace steelyard::server {
namespace {

using std::chrono::milliseconds;

RequestContext::Call CallWith(
    std::optional<RequestContext::Clock::time_point> deadline,
    std::function<bool()> cancelled) {
  return {.method = "/test",
          .request_id = "1",
          .deadline = deadline,
          .cancelled = std::move(cancelled)};
}

TEST(AwaitTest, ReturnsWhenTheWorkIsDoneAndLeavesNothing) {
  RequestContext context(CallWith({}, {}));
  int asked = 0;
  bool left = false;
  const absl::Status status = AwaitOrLeave(
      context, {}, [&](milliseconds) { return ++asked == 3; },
      [&](StopReason) { left = true; });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(asked, 3);
  EXPECT_FALSE(left);
  EXPECT_FALSE(context.stop().token().stop_requested());
}

TEST(AwaitTest, ACancelStopsTheContextAndLeavesOnce) {
  RequestContext context(CallWith({}, [] { return true; }));
  int left = 0;
  const absl::Status status = AwaitOrLeave(
      context, {}, [](milliseconds) { return false; },
      [&](StopReason reason) {
        EXPECT_EQ(reason, StopReason::kCancelled);
        ++left;
      });
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(left, 1);
  EXPECT_EQ(context.stop().token().reason(), StopReason::kCancelled);
}

TEST(AwaitTest, ABrokenStreamIsACancelAndAPassedDeadlineIsNone) {
  RequestContext broken(CallWith({}, {}));
  EXPECT_EQ(AwaitOrLeave(
                broken, {.progress = {}, .look = [] { return false; }},
                [](milliseconds) { return false; }, [](StopReason) {})
                .code(),
            absl::StatusCode::kCancelled);
  RequestContext late(
      CallWith(RequestContext::Clock::now() - milliseconds(1), {}));
  EXPECT_EQ(AwaitOrLeave(
                late, {}, [](milliseconds) { return false; }, [](StopReason) {})
                .code(),
            absl::StatusCode::kDeadlineExceeded);
}

}  // namespace
}  // namespace steelyard::server
