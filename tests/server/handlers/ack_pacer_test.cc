#include "server/handlers/ack_pacer.h"

#include "gtest/gtest.h"

namespace steelyard::server {
namespace {

using std::chrono::milliseconds;

constexpr std::int64_t kMiB = std::int64_t{1} << 20;

TEST(AckPacerTest, NothingTakenNothingDue) {
  const AckPacer::Clock::time_point start{};
  AckPacer pacer(start);
  EXPECT_EQ(pacer.Due(), std::nullopt);
}

TEST(AckPacerTest, AQuarterOfASecondAfterTheFirstKeyOrAt8MiB) {
  const AckPacer::Clock::time_point start{};
  AckPacer pacer(start);
  pacer.Taken(kMiB, start + milliseconds(100));
  EXPECT_EQ(pacer.Due(), start + milliseconds(350));
  pacer.Taken(kMiB, start + milliseconds(200));
  EXPECT_EQ(pacer.Due(), start + milliseconds(350));
  pacer.Taken(6 * kMiB, start + milliseconds(300));
  EXPECT_LE(pacer.Due(), start + milliseconds(300));
}

TEST(AckPacerTest, AtMostTwentyASecond) {
  const AckPacer::Clock::time_point start{};
  AckPacer pacer(start);
  int acks = 0;
  // 1 GiB/s for a second.
  for (int i = 0; i < 1000; ++i) {
    const auto now = start + milliseconds(i);
    pacer.Taken(kMiB, now);
    if (*pacer.Due() <= now) {
      ++acks;
      pacer.Acked(now);
      EXPECT_EQ(pacer.Due(), std::nullopt);
    }
  }
  EXPECT_GE(acks, 18);
  EXPECT_LE(acks, 20);
}

}  // namespace
}  // namespace steelyard::server
