#include "client/analyze/histogram.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace steelyard::analyze {
namespace {

using ::testing::ElementsAre;

TEST(HistogramTest, EveryValueIsInOneBinAndOneIsInTheLast) {
  const std::vector<double> values = {0.0, 0.24, 0.25, 0.5, 0.99, 1.0};
  EXPECT_THAT(Histogram(values, 4), ElementsAre(2, 1, 1, 2));
  // Rounding may leave a sum of scores a little outside.
  EXPECT_THAT(Histogram(std::vector<double>{-1e-17, 1.0 + 1e-16}, 2),
              ElementsAre(1, 1));
  EXPECT_THAT(Histogram({}, 2), ElementsAre(0, 0));
}

TEST(HistogramTest, QuantilesInterpolate) {
  EXPECT_EQ(Quantile({3.0, 1.0, 2.0}, 0.5), 2.0);
  EXPECT_EQ(Quantile({4.0, 1.0}, 0.5), 2.5);
  EXPECT_EQ(Quantile({4.0, 1.0, 2.0}, 0.0), 1.0);
  EXPECT_EQ(Quantile({4.0, 1.0, 2.0}, 1.0), 4.0);
  EXPECT_EQ(Quantile({7.0}, 0.3), 7.0);
  EXPECT_EQ(Quantile({}, 0.5), 0.0);
}

TEST(HistogramTest, TheTallestBinIsAFullBlockAndAnEmptyOneIsBlank) {
  EXPECT_EQ(Sparkline(std::vector<int64_t>{8, 0, 1, 4}), "\u2588 \u2581\u2584");
  EXPECT_EQ(Sparkline(std::vector<int64_t>{0, 0}), "  ");
  // One of a million is still seen.
  EXPECT_EQ(Sparkline(std::vector<int64_t>{1000000, 1}), "\u2588\u2581");
}

}  // namespace
}  // namespace steelyard::analyze
