// Logits to 1e4 at n = 400, on every road, against MPFR: no number that is not
// one, omega and the residual as reported, CONVERGED never false.
#include <cmath>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "kernel/certificate.h"
#include "steelyard/attention_kernel_regression.h"
#include "tests/support/kernel_cases.h"
#include "tests/support/kernel_oracle.h"

namespace steelyard {
namespace {

constexpr Index kN = 400;

// Rows of lengths from 1e-3 to 1e2; some doubled, some zero, one of length
// `huge`.
Matrix<double> ExtremeRows(double huge) {
  Matrix<double> a = test::RowsOfNorm(kN, 6, 1.0, 1);
  for (Index i = 0; i < kN; ++i) {
    const double length =
        std::pow(10.0, -3.0 + 5.0 * static_cast<double>(i) /
                                  static_cast<double>(kN - 1));
    for (Index c = 0; c < 6; ++c) a(i, c) *= length / 1.5;
  }
  for (Index i = 0; i < 6; ++i) test::CopyRow(a, 20 * i + 7, 20 * i + 190);
  for (const Index i : {50, 51, 300}) {
    for (Index c = 0; c < 6; ++c) a(i, c) = 0.0;
  }
  a(123, 2) = huge;
  return a;
}

class KernelExtremes
    : public testing::TestWithParam<
          std::tuple<KernelNormalization, double, KernelMethod>> {};

TEST_P(KernelExtremes, NothingIsFalseAgainstMpfr) {
  const auto [normalization, ridge, method] = GetParam();
  const test::KernelSystem system{ExtremeRows(100.0), 1.0, normalization,
                                  ridge};
  const Matrix<double> b = test::RowsOfNorm(kN, 1, 1.0, 2);
  const Workers workers(2);
  const auto solution =
      SolveAttentionKernelRegression(system.a.view(), b.view(),
                                     {.normalization = normalization,
                                      .ridge = ridge,
                                      .max_iterations = 200,
                                      .method = method},
                                     {.workers = workers});
  ASSERT_TRUE(solution.ok()) << solution.status();
  const SolveReport& report = solution->report;
  SCOPED_TRACE(report.method);
  for (Index i = 0; i < kN; ++i) {
    ASSERT_TRUE(std::isfinite(solution->x(i, 0))) << i;
  }
  for (const double value :
       {report.relative_residual[0], report.residual_floor[0],
        report.backward_error[0], report.forward_error[0],
        report.componentwise_error[0], report.log_smallest_ridge}) {
    EXPECT_TRUE(std::isfinite(value));
  }
  const test::OracleResidual truth = test::KernelResidualMpfr(
      system, test::ScaledColumnOf(*solution, 0), test::ColumnOf(b, 0));
  // Sums (24 u), dots and exponents (some 40 u L): DotErrorConstant,
  // SumErrorConstant.
  const double logit = test::LargestLogit(system);
  EXPECT_NEAR(report.componentwise_error[0], truth.omega,
              kUnitRoundoff * (24.0 + 40.0 * logit) + 0.01 * truth.omega);
  if (report.converged[0]) {
    EXPECT_LE(truth.relative_residual, 1e-8);
  }
  if (report.termination == Termination::kIllConditioned) {
    EXPECT_LT(report.log_smallest_ridge, 2.0 * logit);
  }
  if (ridge >= 0.01 && normalization == KernelNormalization::kUnitDiagonal) {
    EXPECT_EQ(report.termination, Termination::kConverged);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Grid, KernelExtremes,
    testing::Combine(testing::Values(KernelNormalization::kNone,
                                     KernelNormalization::kUnitDiagonal,
                                     KernelNormalization::kSoftmaxRows),
                     testing::Values(0.0, 0.01),
                     testing::Values(KernelMethod::kCholesky,
                                     KernelMethod::kConjugateGradient,
                                     KernelMethod::kBlockCoordinate)));

}  // namespace
}  // namespace steelyard
