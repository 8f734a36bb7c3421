#include "kernel/certificate.h"

#include <cmath>

#include "gtest/gtest.h"

namespace steelyard {
namespace {

// Two rows e^5000 apart.
ResidualRows Example(double residual, double error) {
  return {.residual = {MakeScaled(residual), MakeScaled(0.0)},
          .magnitude = {MakeScaled(3.0), MakeScaled(1.0, -9000)},
          .rhs = {MakeScaled(-1.0), MakeScaled(1.0, -9000)},
          .error = {MakeScaled(error), MakeScaled(0.0)}};
}

TEST(CertificateTest, QuantitiesAreThoseOfN3) {
  const Certificate c = Certify(Example(1e-6, 1e-9));
  EXPECT_DOUBLE_EQ(c.relative_residual, 1e-6);
  EXPECT_DOUBLE_EQ(c.omega, 1e-6 / 4.0);
  EXPECT_DOUBLE_EQ(c.backward_error, 1e-6 / 4.0);
  EXPECT_DOUBLE_EQ(c.floor, kUnitRoundoff * 3.0);
  EXPECT_DOUBLE_EQ(c.error, 1e-9);
  EXPECT_DOUBLE_EQ(c.row_error, 1e-9 / 4.0);
  EXPECT_FALSE(c.within_error);
}

TEST(CertificateTest, ConvergedNeedsTheErrorOfTheResidualBelowToo) {
  EXPECT_TRUE(IsConverged(Certify(Example(1e-9, 1e-12)), 1e-8));
  EXPECT_FALSE(IsConverged(Certify(Example(1e-9, 1e-8)), 1e-8));
  EXPECT_FALSE(IsConverged(Certify(Example(1e-7, 0.0)), 1e-8));
}

TEST(CertificateTest, FloorNeedsEveryRowAtIt) {
  EXPECT_TRUE(AtPrecisionFloor(Certify(Example(1e-16, 1e-15)), 1.0));
  EXPECT_FALSE(AtPrecisionFloor(Certify(Example(1e-14, 1e-15)), 1.0));
  EXPECT_FALSE(AtPrecisionFloor(Certify(Example(1e-13, 1e-12)), 1.0));
  EXPECT_TRUE(AtPrecisionFloor(Certify(Example(1e-13, 1e-12)), 1e4));
  // No digit at all.
  EXPECT_FALSE(AtPrecisionFloor(Certify(Example(1e-1, 1.0)), 1e16));
}

TEST(CertificateTest, ConstantsGrowLikeRandomWalksAndNeverBeyondTheWorstCase) {
  EXPECT_EQ(DotErrorConstant(1), 5.0);
  EXPECT_EQ(DotErrorConstant(64), 40.0);
  EXPECT_LT(DotErrorConstant(8192), 400.0);
  EXPECT_GT(SumErrorConstant(256), SumErrorConstant(1));
  EXPECT_EQ(SumErrorConstant(256), SumErrorConstant(100000));
}

}  // namespace
}  // namespace steelyard
