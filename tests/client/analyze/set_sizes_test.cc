#include "client/analyze/set_sizes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace steelyard::analyze {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(SetSizesTest, CountsKeysThatReachTheThreshold) {
  const std::vector<double> scores = {0.1, 1.0, 0.01, 0.5, 0.0};
  const std::vector<SetSize> sizes = SetSizes(scores, 2, 0.01, 1);
  ASSERT_EQ(sizes.size(), 3u);
  EXPECT_DOUBLE_EQ(sizes[0].epsilon, 1.0);
  EXPECT_EQ(sizes[0].size, 1);
  EXPECT_EQ(sizes[0].bound, 2.0);
  EXPECT_DOUBLE_EQ(sizes[1].epsilon, 0.1);
  EXPECT_EQ(sizes[1].size, 3);
  // total / epsilon is 20, but there are five keys.
  EXPECT_EQ(sizes[1].bound, 5.0);
  EXPECT_EQ(sizes[2].size, 4);
}

TEST(SetSizesTest, NeverShrinksAndEndsAtTheLeastThreshold) {
  std::vector<double> scores;
  for (int i = 0; i < 100; ++i) scores.push_back(1.0 / (1.0 + i));
  const std::vector<SetSize> sizes = SetSizes(scores, 100, 1e-3, 10);
  ASSERT_EQ(sizes.size(), 31u);
  EXPECT_EQ(sizes.back().epsilon, 1e-3);
  EXPECT_EQ(sizes.back().size, 100);
  for (std::size_t i = 1; i < sizes.size(); ++i) {
    EXPECT_LT(sizes[i].epsilon, sizes[i - 1].epsilon);
    EXPECT_GE(sizes[i].size, sizes[i - 1].size);
    EXPECT_LE(static_cast<double>(sizes[i].size), sizes[i].bound);
  }
}

TEST(SetSizesTest, TheMostSensitiveComeAscendingAndTiesGoToTheLowerIndex) {
  const std::vector<double> scores = {0.5, 0.9, 0.5, 0.1, 0.5};
  EXPECT_THAT(MostSensitive(scores, 3), ElementsAre(0, 1, 2));
  EXPECT_THAT(MostSensitive(scores, 0), IsEmpty());
  EXPECT_THAT(MostSensitive(scores, 9), ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(KeysAtLeast(scores, 0.5), ElementsAre(0, 1, 2, 4));
  EXPECT_THAT(KeysAtLeast(scores, 0.95), IsEmpty());
}

}  // namespace
}  // namespace steelyard::analyze
