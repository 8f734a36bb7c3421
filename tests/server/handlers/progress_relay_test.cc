#include "server/handlers/progress_relay.h"

#include <chrono>
#include <string>

#include "gtest/gtest.h"

namespace steelyard::server {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const ProgressRelay::Clock::time_point kStart{};

TEST(ProgressRelayTest, TheFirstMessageIsDueAtOnceAndTellsOfTheQueue) {
  ProgressRelay relay(kStart);
  const auto first = relay.Due(kStart + milliseconds(3));
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->update.phase, "queue");
  EXPECT_EQ(first->elapsed, milliseconds(3));
  EXPECT_FALSE(first->time_left.has_value());
}

TEST(ProgressRelayTest, AtMostFiveMessagesASecond) {
  ProgressRelay relay(kStart);
  int messages = 0;
  for (int ms = 0; ms < 1000; ++ms) {
    relay.Update({.phase = "iterate", .iteration = ms},
                 kStart + milliseconds(ms));
    if (relay.Due(kStart + milliseconds(ms)).has_value()) ++messages;
  }
  EXPECT_EQ(messages, 5);
}

TEST(ProgressRelayTest, WithoutNewsThereIsAHeartbeat) {
  ProgressRelay relay(kStart);
  EXPECT_TRUE(relay.Due(kStart).has_value());
  EXPECT_FALSE(relay.Due(kStart + milliseconds(999)).has_value());
  EXPECT_TRUE(relay.Due(kStart + milliseconds(1000)).has_value());
}

TEST(ProgressRelayTest, TheFractionNeverFallsAndStaysInItsRange) {
  ProgressRelay relay(kStart);
  const double told[] = {0.5, 0.3, -1.0, 7.0};
  const double expected[] = {0.5, 0.5, 0.5, 1.0};
  for (int i = 0; i < 4; ++i) {
    relay.Update({.phase = "iterate", .fraction = told[i]},
                 kStart + seconds(i));
    const auto message = relay.Due(kStart + seconds(i));
    ASSERT_TRUE(message.has_value());
    EXPECT_EQ(message->update.fraction, expected[i]);
  }
  // An update that knows none takes none away.
  relay.Update({.phase = "verify"}, kStart + seconds(9));
  EXPECT_EQ(relay.Due(kStart + seconds(9))->update.fraction, 1.0);
}

TEST(ProgressRelayTest, TimeLeftFollowsFromTheSpeedOfTheWork) {
  ProgressRelay relay(kStart);
  // Ten seconds in the queue do not count.
  relay.Update({.phase = "scan", .fraction = 0.0}, kStart + seconds(10));
  relay.Update({.phase = "iterate", .fraction = 0.25}, kStart + seconds(12));
  const auto message = relay.Due(kStart + seconds(12));
  ASSERT_TRUE(message.has_value());
  EXPECT_EQ(message->elapsed, seconds(12));
  ASSERT_TRUE(message->time_left.has_value());
  EXPECT_EQ(*message->time_left, seconds(6));
}

TEST(ProgressRelayTest, WhoJoinsMidwayKnowsTheSpeedOfWhatItSaw) {
  ProgressRelay relay(kStart);
  relay.Update({.phase = "wait"}, kStart);
  EXPECT_EQ(relay.Due(kStart)->update.phase, "wait");
  relay.Update({.phase = "factor", .fraction = 0.5}, kStart + seconds(10));
  const auto joined = relay.Due(kStart + seconds(10));
  EXPECT_EQ(joined->update.fraction, 0.5);
  EXPECT_FALSE(joined->time_left.has_value());
  // A quarter in two seconds: the last quarter takes two.
  relay.Update({.phase = "iterate", .fraction = 0.75}, kStart + seconds(12));
  EXPECT_EQ(relay.Due(kStart + seconds(12))->time_left, seconds(2));
}

TEST(ProgressRelayTest, WaitingIsNoWork) {
  ProgressRelay relay(kStart);
  relay.Update({.phase = "wait"}, kStart);
  relay.Update({.phase = "queue"}, kStart + seconds(5));
  relay.Update({.phase = "scan", .fraction = 0.0}, kStart + seconds(10));
  relay.Update({.phase = "iterate", .fraction = 0.5}, kStart + seconds(11));
  EXPECT_EQ(relay.Due(kStart + seconds(11))->time_left, seconds(1));
}

TEST(ProgressRelayTest, ThePhaseOutlivesTheTextItCameFrom) {
  ProgressRelay relay(kStart);
  {
    const std::string phase = "a phase of some length, on the heap";
    relay.Update({.phase = phase}, kStart);
  }
  EXPECT_EQ(relay.Due(kStart)->update.phase,
            "a phase of some length, on the heap");
}

}  // namespace
}  // namespace steelyard::server
