#include "power/power_ladder.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/core/power/power_problems.h"

namespace steelyard::test {
namespace {

// n d^2 of these is just what a sketch pays for.
constexpr Index kTall = 80000;
constexpr Index kWidth = 160;

absl::StatusOr<LadderStep> Climb(const Matrix<double>& a,
                                 const PowerRegressionOptions& options,
                                 FactorOptions factor_options) {
  const Workers workers(2);
  const auto scales = ScanColumns(a.view(), "a", {workers});
  if (!scales.ok()) return scales.status();
  factor_options.gram_condition_max = 1e7;
  return ClimbPowerLadder(a.view(), *scales, factor_options, options,
                          {workers});
}

// Normal entries; columns fall to 1 / condition and are mixed by a reflection.
Matrix<double> TallOf(double condition) {
  Matrix<double> a = NormalMatrix(kTall, kWidth, Seed{21});
  const double mean = 1.0 / std::sqrt(static_cast<double>(kWidth));
  for (Index i = 0; i < kTall; ++i) {
    double product = 0.0;
    for (Index c = 0; c < kWidth; ++c) {
      a(i, c) *= std::pow(condition, -static_cast<double>(c) / (kWidth - 1.0));
      product += a(i, c) * mean;
    }
    for (Index c = 0; c < kWidth; ++c) a(i, c) -= 2.0 * product * mean;
  }
  return a;
}

TEST(PowerLadderTest, SmallMatricesGoByGramOrHouseholder) {
  for (const double condition : {1e3, 1e9}) {
    const Matrix<double> a = MatrixOfCondition(500, 6, condition);
    const auto step = Climb(a, {}, {});
    ASSERT_TRUE(step.ok());
    EXPECT_FALSE(step->sketched);
    EXPECT_FALSE(step->preconditioner);
    EXPECT_EQ(step->factor.method,
              condition < 1e7 ? FactorMethod::kGram : FactorMethod::kQr);
  }
}

TEST(PowerLadderTest, IllConditionedTallOnesByARepairedSketch) {
  const Matrix<double> good = TallOf(10.0);
  const auto gram = Climb(good, {}, {});
  ASSERT_TRUE(gram.ok());
  EXPECT_EQ(gram->factor.method, FactorMethod::kGram);
  const Matrix<double> bad = TallOf(1e11);

  const auto step = Climb(bad, {}, {});

  ASSERT_TRUE(step.ok());
  EXPECT_TRUE(step->sketched);
  EXPECT_FALSE(step->preconditioner);
  EXPECT_EQ(step->factor.method, FactorMethod::kRepaired);
  // As good as R of a QR: their ratio has singular values near 1.
  const auto qr = Climb(bad, {}, {.method = FactorMethod::kQr});
  ASSERT_TRUE(qr.ok());
  const double f = step->factor.gram_error + qr->factor.gram_error;
  EXPECT_NEAR(step->factor.inverse_frobenius_norm,
              qr->factor.inverse_frobenius_norm,
              f * qr->factor.inverse_frobenius_norm);
}

TEST(PowerLadderTest, SketchStepLeavesBadRanksToOthers) {
  Matrix<double> a = NormalMatrix(300, 6, Seed{22});
  const auto step_of = [&] {
    const auto scales = ScanColumns(a.view(), "a", {OneWorker()});
    return SketchStep(AnyMatrixView(a.view()), *scales, {}, {OneWorker()});
  };
  const auto full = step_of();
  ASSERT_TRUE(full.ok());
  ASSERT_TRUE(full->has_value());
  EXPECT_TRUE((*full)->preconditioner);
  for (Index i = 0; i < 300; ++i) a(i, 2) = a(i, 0) + a(i, 1);
  const auto deficient = step_of();
  ASSERT_TRUE(deficient.ok());
  EXPECT_FALSE(deficient->has_value());
}

}  // namespace
}  // namespace steelyard::test
