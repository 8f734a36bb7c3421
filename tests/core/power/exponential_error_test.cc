#include "power/exponential_error.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/bounds.h"

namespace steelyard::test {
namespace {

// d equal values: e^-(H - s^2) = I, error about 2 u s_1 s_d.
TEST(ExponentialErrorTest, EqualValuesLoseTwiceTheSquare) {
  const std::vector<double> s(3, 100.0);
  const std::vector<double> shifts(3, 0.0);
  const std::vector<double> b{1.0, 2.0, 2.0};
  const double error = ExponentialError(s, shifts, b, 3.0);
  EXPECT_GE(error, 2.0 * kUnitRoundoff * 1e4);
  EXPECT_LE(error, 8.0 * kUnitRoundoff * 1e4);
}

// b = v_1: what leaks into v_d is not damped.
TEST(ExponentialErrorTest, LeadingVectorLosesEverything) {
  const std::vector<double> s{8.0, 0.0};
  const std::vector<double> shifts{64.0, 0.0};
  EXPECT_GE(ExponentialError(s, shifts, {1.0, 0.0}, std::exp(-64.0)),
            kUnitRoundoff * std::exp(64.0));
}

TEST(ExponentialErrorTest, SmallMatricesKeepEveryDigit) {
  EXPECT_LE(ExponentialError({0.5, 0.1}, {0.24, 0.0}, {1.0, 1.0}, 1.3),
            8.0 * kUnitRoundoff);
}

}  // namespace
}  // namespace steelyard::test
