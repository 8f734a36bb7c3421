#include "sensitivity/whitened_keys.h"

#include <cmath>

#include "gmock/gmock.h"
#include "tests/core/sensitivity/power_keys.h"
#include "tests/support/bounds.h"
#include "tests/support/long_double_householder.h"

namespace steelyard {
namespace {

using test::PowerKeys;
using test::PreparedKeys;
using test::Tail;

TEST(WhitenedKeysTest, RowsHaveTheLeverageScoresAndSingularValuesNearOne) {
  for (const double cond : {1.0, 1e4, 1e10}) {
    const Matrix<double> keys = PowerKeys(200, 5, cond, Tail::kNormal, 1);
    const PreparedKeys prepared = test::Prepare(keys.view());
    const WhitenedKeys& white = prepared.white;
    ASSERT_TRUE(white.certifiable()) << cond;
    const auto truth = test::LongDoubleLeverages(keys.view());
    // ||x_j||^2 is tau to the delta of the factor.
    const double delta = prepared.factored.scores.delta;
    for (std::size_t j = 0; j < 200; ++j) {
      const auto tau = static_cast<double>(truth[j]);
      EXPECT_NEAR(white.norms[j] * white.norms[j], tau, delta * tau);
    }
    EXPECT_LE(white.smallest_singular_value, 1.0 + delta);
    EXPECT_GE(white.largest_singular_value, 1.0 - delta);
    EXPECT_NEAR(white.smallest_singular_value, white.largest_singular_value,
                3.0 * delta + test::Gamma(1000));
  }
}

TEST(WhitenedKeysTest, LowRankLosesColumnsAndZeroRowsStayZero) {
  Matrix<double> keys = PowerKeys(50, 3, 1.0, Tail::kNormal, 2);
  Matrix<double> wide(50, 6);
  for (Index i = 0; i < 50; ++i) {
    for (Index c = 0; c < 6; ++c) wide(i, c) = i == 7 ? 0.0 : keys(i, c % 3);
  }
  const PreparedKeys prepared = test::Prepare(wide.view());
  EXPECT_EQ(prepared.white.rank(), 3);
  EXPECT_TRUE(prepared.white.certifiable());
  EXPECT_EQ(prepared.white.norms[7], 0.0);
  EXPECT_GT(prepared.white.norms[8], 0.0);
}

TEST(WhitenedKeysTest, ANewDirectionLeavesTheRowsOfTheOthers) {
  // A key of 1e-17 alone in a rotated direction (N4).
  Matrix<double> keys(40, 2);
  const Matrix<double> line = test::NormalMatrix(40, 1, Seed{3});
  for (Index i = 0; i < 39; ++i) {
    keys(i, 0) = line(i, 0);
    keys(i, 1) = line(i, 0);
  }
  keys(39, 0) = 1e-17;
  keys(39, 1) = -1e-17;
  const PreparedKeys prepared = test::Prepare(keys.view());
  EXPECT_THAT(prepared.factored.scores.new_direction, testing::ElementsAre(39));
  EXPECT_EQ(prepared.white.rank(), 1);
  EXPECT_EQ(prepared.white.norms[39], 0.0);
}

TEST(WhitenedKeysTest, StopsWhenAsked) {
  const Matrix<double> keys = PowerKeys(50, 3, 1.0, Tail::kNormal, 2);
  const PreparedKeys prepared = test::Prepare(keys.view());
  const Workers workers(1);
  StopSource stop;
  stop.RequestStop(StopReason::kCancelled);
  EXPECT_EQ(WhitenKeys(keys.view(), prepared.factored,
                       ComputeContext{workers, stop.token()})
                .status()
                .code(),
            absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace steelyard
