#include "steelyard/stop_token.h"

#include "gtest/gtest.h"

namespace steelyard {
namespace {

TEST(StopTokenTest, DefaultTokenNeverStops) {
  const StopToken token;
  EXPECT_FALSE(token.stop_requested());
  EXPECT_TRUE(StopStatus(token).ok());
}

TEST(StopTokenTest, FirstReasonWins) {
  StopSource source;
  const StopToken token = source.token();
  EXPECT_FALSE(token.stop_requested());
  source.RequestStop(StopReason::kDraining);
  source.RequestStop(StopReason::kCancelled);
  EXPECT_EQ(token.reason(), StopReason::kDraining);
  EXPECT_FALSE(token.answer_unwanted());
}

TEST(StopTokenTest, TimesStopWithTheirOwnReason) {
  const auto past = StopToken::Clock::now();
  StopSource deadline;
  deadline.StopAt(past, StopReason::kDeadline);
  EXPECT_EQ(deadline.token().reason(), StopReason::kDeadline);
  StopSource limit;
  limit.StopAt(past, StopReason::kTimeLimit);
  EXPECT_EQ(limit.token().reason(), StopReason::kTimeLimit);
  StopSource later;
  later.StopAt(past + std::chrono::hours(1), StopReason::kDeadline);
  EXPECT_FALSE(later.token().stop_requested());
}

TEST(StopTokenTest, StatusTellsTheReason) {
  StopSource cancelled;
  cancelled.RequestStop(StopReason::kCancelled);
  EXPECT_EQ(StopStatus(cancelled.token()).code(), absl::StatusCode::kCancelled);
  StopSource late;
  late.RequestStop(StopReason::kDeadline);
  EXPECT_EQ(StopStatus(late.token()).code(),
            absl::StatusCode::kDeadlineExceeded);
  StopSource limit;
  limit.RequestStop(StopReason::kTimeLimit);
  EXPECT_TRUE(StopStatus(limit.token()).ok());
}

TEST(StopTokenTest, CountsLooksAndStopsAtOne) {
  StopSource source;
  source.StopAtLook(3);
  const StopToken token = source.token();
  EXPECT_FALSE(token.stop_requested());
  EXPECT_FALSE(token.stop_requested());
  EXPECT_TRUE(token.stop_requested());
  EXPECT_TRUE(token.stop_requested());
  EXPECT_EQ(token.looks(), 4);
  EXPECT_EQ(token.looks_after_stop(), 2);
}

}  // namespace
}  // namespace steelyard
