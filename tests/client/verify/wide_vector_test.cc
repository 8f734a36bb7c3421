#include "client/verify/wide_vector.h"

#include <cmath>

#include <gtest/gtest.h>

namespace steelyard::verify {
namespace {

TEST(WideVectorTest, NormsOutsideEveryFormat) {
  ScaledVector v{.mantissa = WideVector::Constant(4, 1.0L), .exponent = 100000};
  EXPECT_NEAR(v.LogNorm(), 100000 * std::log(2.0) + std::log(2.0), 1e-9);
  ScaledVector w = v;
  w.exponent -= 3;
  EXPECT_DOUBLE_EQ(NormRatio(w, v), 0.125);
  EXPECT_DOUBLE_EQ(RelativeDistance(w, v), 0.875);
}

TEST(WideVectorTest, ZeroHasNoExponentOfItsOwn) {
  const ScaledVector one{.mantissa = WideVector::Ones(2), .exponent = -70000};
  const ScaledVector zero{.mantissa = WideVector::Zero(2), .exponent = 5};
  EXPECT_DOUBLE_EQ(RelativeDistance(Difference(one, zero), one), 0.0);
  EXPECT_DOUBLE_EQ(NormRatio(Difference(zero, one), one), 1.0);
  EXPECT_EQ(NormRatio(zero, one), 0.0);
}

TEST(WideVectorTest, ProductsAreTheOnesOfAMatrix) {
  RowMatrix a(2, 3);
  a << 1, 2, 3, 4, 5, 6;
  const WideVector v = WideVector::LinSpaced(3, 1, 3);
  const WideVector w = Multiply(a, v);
  EXPECT_EQ(w[0], 14.0L);
  EXPECT_EQ(w[1], 32.0L);
  const WideVector t = MultiplyTransposed(a, w);
  EXPECT_EQ(t[0], 142.0L);
  EXPECT_EQ(t[2], 234.0L);
}

TEST(WideVectorTest, ScalingIsExact) {
  const ScaledVector v = ScaledOf(WideVector::Constant(1, 3e300L));
  EXPECT_EQ(std::ldexp(v.mantissa[0], static_cast<int>(v.exponent)), 3e300L);
  EXPECT_LT(v.mantissa[0], 1.0L);
  EXPECT_GE(v.mantissa[0], 0.5L);
}

}  // namespace
}  // namespace steelyard::verify
