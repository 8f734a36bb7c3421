#include "kernel/scaled_vector.h"

#include <cmath>
#include <limits>

#include "gtest/gtest.h"
#include "tests/support/bounds.h"

namespace steelyard {
namespace {

using test::kUnitRoundoff;

TEST(ScaledNumberTest, HoldsWhatADoubleHolds) {
  for (const double value : {0.0, 1.0, -3.5, 1e300, 5e-324, -1e-310}) {
    const ScaledNumber x = MakeScaled(value);
    EXPECT_EQ(std::ldexp(x.mantissa, static_cast<int>(x.exponent)), value);
    if (value == 0.0) continue;
    EXPECT_GE(std::abs(x.mantissa), 0.5);
    EXPECT_LT(std::abs(x.mantissa), 1.0);
  }
}

TEST(ScaledNumberTest, ExponentialsFarOutsideDoubleComeBack) {
  for (const double t : {1e4, -1e4, 123456.789, 7e8}) {
    const ScaledNumber there = TimesExp(MakeScaled(3.0), t);
    // The rounding of t itself, twice.
    EXPECT_NEAR(RatioOf(TimesExp(there, -t), MakeScaled(3.0)), 1.0,
                2.0 * kUnitRoundoff * (4.0 + std::abs(t)));
    EXPECT_NEAR(LogOf(there), std::log(3.0) + t,
                4.0 * kUnitRoundoff * std::abs(t));
  }
}

TEST(ScaledNumberTest, SumsAlignTheirExponents) {
  const ScaledNumber big = MakeScaled(1.0, 100000);
  const ScaledNumber twice = Add(big, big);
  EXPECT_EQ(twice.exponent, big.exponent + 1);
  EXPECT_TRUE(Subtract(big, big).zero());
  // Far below half a unit.
  EXPECT_EQ(Add(big, MakeScaled(1.0)).mantissa, big.mantissa);
  EXPECT_EQ(Add(MakeScaled(1.0), big).exponent, big.exponent);
  EXPECT_EQ(RatioOf(Add(MakeScaled(0.75), MakeScaled(-0.25)), MakeScaled(0.5)),
            1.0);
}

TEST(ScaledNumberTest, ComparesBySizeAlone) {
  EXPECT_TRUE(LargerThan(MakeScaled(-2.0), MakeScaled(1.0)));
  EXPECT_TRUE(LargerThan(MakeScaled(1.0), MakeScaled(0.0)));
  EXPECT_FALSE(LargerThan(MakeScaled(0.0), MakeScaled(0.0)));
  EXPECT_FALSE(LargerThan(MakeScaled(1.0), MakeScaled(1.0)));
}

TEST(ScaledNumberTest, RatiosNeverLeaveDouble) {
  EXPECT_EQ(RatioOf(MakeScaled(0.0), MakeScaled(0.0)), 0.0);
  EXPECT_EQ(RatioOf(MakeScaled(1.0), MakeScaled(0.0)),
            std::numeric_limits<double>::max());
  EXPECT_EQ(RatioOf(MakeScaled(1.0, 9000), MakeScaled(1.0)),
            std::numeric_limits<double>::max());
  EXPECT_EQ(RatioOf(MakeScaled(1.0, -9000), MakeScaled(1.0)), 0.0);
}

TEST(ScaledVectorTest, NormAndDoublesShareOneExponent) {
  const ScaledVector x = {MakeScaled(3.0, 5000), MakeScaled(-4.0, 5000),
                          MakeScaled(1.0)};
  EXPECT_EQ(RatioOf(NormOf(x), MakeScaled(5.0, 5000)), 1.0);
  double out[3];
  ToDoubles(x, TopExponent(x), out);
  EXPECT_EQ(out[0], 0.375);
  EXPECT_EQ(out[1], -0.5);
  EXPECT_EQ(out[2], 0.0);
  EXPECT_FALSE(FitsDouble(x));
  EXPECT_TRUE(FitsDouble({MakeScaled(1e308), MakeScaled(0.0)}));
  EXPECT_TRUE(NormOf(ScaledVector(3)).zero());
}

}  // namespace
}  // namespace steelyard
