#include "power/power_factor.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/core/power/power_problems.h"

namespace steelyard::test {
namespace {

std::shared_ptr<const PowerFactor> Made(const Matrix<double>& a,
                                        const PowerRegressionOptions& options) {
  const ComputeContext context{OneWorker()};
  const auto scales = ScanMatrix(a.view(), "a", context);
  auto made = MakePowerFactor(a.view(), *scales, options, FactorGrade::kLadder,
                              context);
  EXPECT_TRUE(made.ok()) << made.status();
  return *made;
}

TEST(PowerFactorTest, KnowsTheNormAndTheRankOfTheMatrix) {
  const Matrix<double> a = MatrixOfCondition(50, 6, 100.0);
  const auto made = Made(a, {.family = PowerFamily::kGramPower});
  EXPECT_NEAR(made->log2_norm, 0.0, 1e-9);  // kStopping of the Lanczos process
  EXPECT_EQ(made->factor.rank, 6);
  ASSERT_TRUE(made->solver.has_value());
  EXPECT_FALSE(made->exponential.has_value());
  EXPECT_TRUE(made->ridge_diagonal.empty());
  EXPECT_GE(made->bytes(), 8 * 36);
}

TEST(PowerFactorTest, ARidgeIsThatOfTheScaledColumns) {
  Matrix<double> a = MatrixOfCondition(50, 3, 10.0);
  for (Index i = 0; i < a.rows(); ++i) a(i, 1) *= 0x1p40;
  const auto made = Made(a, {.family = PowerFamily::kGramPower, .ridge = 0.25});
  ASSERT_EQ(made->ridge_diagonal.size(), 3U);
  for (std::size_t c = 0; c < 3; ++c) {
    EXPECT_EQ(made->ridge_diagonal[c],
              std::ldexp(0.25, -2 * made->factor.scales.exponents[c]));
  }
}

TEST(PowerFactorTest, TheExponentialKeepsSingularValues) {
  const Matrix<double> a = MatrixOfCondition(50, 6, 100.0);
  const auto made = Made(a, {.family = PowerFamily::kMatrixExponential});
  ASSERT_TRUE(made->exponential.has_value());
  EXPECT_FALSE(made->solver.has_value());
  const ExponentialBasis& basis = *made->exponential;
  ASSERT_EQ(basis.s.size(), 6U);
  // Weyl: as far as Gram and Cholesky are off, u kappa relative to s_d.
  const double bound = 40.0 * 0x1p-53 * 100.0;
  EXPECT_NEAR(basis.s.front(), 1.0, bound);
  EXPECT_NEAR(basis.s.back() * 100.0, 1.0, 100.0 * bound);
  EXPECT_EQ(basis.shifts.back(), 0.0);
  EXPECT_GE(made->bytes(), 2 * 8 * 36);
}

TEST(PowerFactorTest, MethodsNameTheWayToR) {
  EXPECT_EQ(FactorMethodOf(PowerMethod::kQr), FactorMethod::kQr);
  EXPECT_EQ(FactorMethodOf(PowerMethod::kSvd), FactorMethod::kSvd);
  EXPECT_EQ(FactorMethodOf(std::nullopt), std::nullopt);
}

}  // namespace
}  // namespace steelyard::test
