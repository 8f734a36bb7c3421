#include "sensitivity/term_bounds.h"

#include "gtest/gtest.h"
#include "tests/core/sensitivity/power_keys.h"
#include "tests/support/long_double_householder.h"
#include "tests/support/power_oracle.h"

namespace steelyard {
namespace {

using test::PowerKeys;
using test::PreparedKeys;
using test::Tail;

class TermBoundsTest : public testing::TestWithParam<double> {};

TEST_P(TermBoundsTest, HoldTheTruthBetweenThem) {
  const double p = GetParam();
  const Matrix<double> keys = PowerKeys(60, 2, 100.0, Tail::kHeavy, 4);
  const PreparedKeys prepared = test::Prepare(keys.view());
  const Workers workers(2);
  const auto bounds = ComputeTermBounds(
      prepared.white, prepared.factored.scores, p, ComputeContext{workers});
  ASSERT_TRUE(bounds.ok());
  EXPECT_EQ(bounds->refinable(), p != 2.0);
  const auto wide = test::Widened(keys.view());
  for (Index j = 0; j < 60; j += 5) {
    const auto at = static_cast<std::size_t>(j);
    const auto truth =
        static_cast<double>(test::BestQuery(wide, j, p).sensitivity);
    // The oracle is right to 1e-9, from below.
    EXPECT_LE(bounds->lower[at], truth * (1.0 + 1e-8));
    EXPECT_GE(bounds->upper[at], truth);
    EXPECT_LE(bounds->lower[at], bounds->upper[at]);
  }
}

TEST(TermBoundsTest, KeysThatNothingCanCertifyKeepTheirWidestInterval) {
  const Matrix<double> keys = PowerKeys(20, 2, 1.0, Tail::kNormal, 4);
  PreparedKeys prepared = test::Prepare(keys.view());
  prepared.white.smallest_singular_value = 0.0;
  prepared.factored.scores.delta = std::numeric_limits<double>::infinity();
  const Workers workers(1);
  const auto bounds = ComputeTermBounds(
      prepared.white, prepared.factored.scores, 3.0, ComputeContext{workers});
  ASSERT_TRUE(bounds.ok());
  EXPECT_FALSE(bounds->refinable());
  for (std::size_t j = 0; j < 20; ++j) {
    EXPECT_EQ(bounds->lower[j], 0.0);
    EXPECT_EQ(bounds->upper[j], 1.0);
  }
}

INSTANTIATE_TEST_SUITE_P(Powers, TermBoundsTest,
                         testing::Values(1.0, 1.5, 2.0, 3.0, 6.0));

}  // namespace
}  // namespace steelyard
