#include "sensitivity/lewis_bounds.h"

#include <cmath>
#include <numeric>

#include "gtest/gtest.h"
#include "tests/core/sensitivity/power_keys.h"
#include "tests/support/long_double_householder.h"
#include "tests/support/power_oracle.h"

namespace steelyard {
namespace {

using test::PowerKeys;
using test::PreparedKeys;
using test::Tail;

LewisBounds Bounds(const PreparedKeys& prepared, double p, int workers = 2) {
  const Workers pool(workers);
  const PowerCertificate certificate(prepared.white, p);
  auto bounds =
      ComputeLewisBounds(prepared.white, certificate, ComputeContext{pool});
  EXPECT_TRUE(bounds.ok()) << bounds.status();
  return *std::move(bounds);
}

class LewisBoundsTest : public testing::TestWithParam<double> {};

TEST_P(LewisBoundsTest, NoSensitivityExceedsItsBound) {
  const double p = GetParam();
  for (const Tail tail : {Tail::kNormal, Tail::kHeavy}) {
    Matrix<double> keys = PowerKeys(60, 2, 100.0, tail, 4);
    // Tiny keys, whose weights have another scale.
    for (Index c = 0; c < 2; ++c) {
      keys(5, c) *= 0x1p-300;
      keys(6, c) = 0.0;
    }
    const PreparedKeys prepared = test::Prepare(keys.view());
    const LewisBounds bounds = Bounds(prepared, p);
    EXPECT_GE(bounds.rounds, 1);
    EXPECT_EQ(bounds.upper[6], 0.0);
    const auto wide = test::Widened(keys.view());
    for (Index j = 0; j < 60; j += 5) {
      const auto truth =
          static_cast<double>(test::BestQuery(wide, j, p).sensitivity);
      EXPECT_GE(bounds.upper[static_cast<std::size_t>(j)], truth);
    }
  }
}

TEST_P(LewisBoundsTest, AddUpToAboutTheirTheoreticalSum) {
  const double p = GetParam();
  const Matrix<double> keys = PowerKeys(3000, 3, 10.0, Tail::kNormal, 6);
  const LewisBounds bounds = Bounds(test::Prepare(keys.view()), p);
  const double sum =
      std::accumulate(bounds.upper.begin(), bounds.upper.end(), 0.0);
  // d^max(1, p/2) at the Lewis weights; stopping early leaves some percent.
  EXPECT_LE(sum, 1.1 * std::pow(3.0, std::max(1.0, 0.5 * p)));
}

TEST_P(LewisBoundsTest, BitsDoNotDependOnTheNumberOfWorkers) {
  const Matrix<double> keys = PowerKeys(3000, 3, 10.0, Tail::kHeavy, 6);
  const PreparedKeys prepared = test::Prepare(keys.view());
  EXPECT_EQ(Bounds(prepared, GetParam(), 1).upper,
            Bounds(prepared, GetParam(), 3).upper);
}

INSTANTIATE_TEST_SUITE_P(Powers, LewisBoundsTest,
                         testing::Values(1.0, 1.5, 1.9999999, 2.0000001, 3.0,
                                         6.0));

}  // namespace
}  // namespace steelyard
