#include "linalg/stopped.h"

#include <utility>

#include "gtest/gtest.h"

namespace steelyard {
namespace {

TEST(CheckStopTest, EveryReasonHasItsCode) {
  const std::pair<StopReason, absl::StatusCode> cases[] = {
      {StopReason::kCancelled, absl::StatusCode::kCancelled},
      {StopReason::kDeadline, absl::StatusCode::kDeadlineExceeded},
      {StopReason::kTimeLimit, absl::StatusCode::kAborted},
      {StopReason::kDraining, absl::StatusCode::kAborted},
  };
  for (const auto& [reason, code] : cases) {
    StopSource source;
    EXPECT_TRUE(CheckStop(source.token()).ok());
    source.RequestStop(reason);
    EXPECT_EQ(CheckStop(source.token()).code(), code);
  }
}

}  // namespace
}  // namespace steelyard
