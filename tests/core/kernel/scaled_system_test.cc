#include "kernel/scaled_system.h"

#include <cmath>

#include "gtest/gtest.h"
#include "tests/support/kernel_oracle.h"
#include "tests/support/kernel_problems.h"

namespace steelyard {
namespace {

class ScaledSystemTest : public testing::TestWithParam<KernelNormalization> {
 protected:
  Workers workers_{2};
  ComputeContext context_{.workers = workers_};
};

TEST_P(ScaledSystemTest, ChecksAgreeWithTheOracleWithinTheirOwnErrorBound) {
  for (const double norm : {0.1, 2.0, 4.0}) {
    const test::KernelSystem system{test::RowsOfNorm(40, 5, norm, 1), 1.0,
                                    GetParam(), 0.02};
    const Matrix<double> b = test::RowsOfNorm(40, 7, 1.0, 2);
    const KernelProblem problem = test::LoadProblem(
        system.a, b, {.normalization = GetParam(), .ridge = 0.02}, context_);
    KernelProduct product = test::ProductOf(problem);
    ScaledSystem scaled(problem.rows(), problem.form(), product);
    const ScaledRightHandSides rhs = ScaleRightHandSides(problem, context_);
    // Any z will do; seven of them are more than one pass takes.
    const Matrix<double> z = test::RowsOfNorm(7, 40, 1.0, 3);

    const auto checked = scaled.Check(rhs.c, z, context_);

    ASSERT_TRUE(checked.ok());
    for (Index c = 0; c < 7; ++c) {
      const auto at = static_cast<std::size_t>(c);
      const test::OracleResidual truth = test::KernelResidual(
          system, SolutionOf(problem, z.row(c), rhs.exponent[at]),
          test::ColumnOf(b, c));
      const Certificate& certificate = checked->certificates[at];
      EXPECT_NEAR(certificate.relative_residual, truth.relative_residual,
                  certificate.error);
      EXPECT_NEAR(certificate.omega, truth.omega, certificate.row_error);
      EXPECT_LT(certificate.row_error, 1e-10);
    }
  }
}

TEST_P(ScaledSystemTest, Float32TilesAreNearFloat64Ones) {
  const KernelProblem problem = test::LoadProblem(
      test::RowsOfNorm(40, 5, 2.0, 4), test::RowsOfNorm(40, 1, 1.0, 5),
      {.normalization = GetParam(), .ridge = 0.1}, context_);
  KernelProduct product = test::ProductOf(problem);
  ScaledSystem scaled(problem.rows(), problem.form(), product);
  const Matrix<double> v = test::RowsOfNorm(1, 40, 1.0, 6);
  Matrix<double> exact(1, 40);
  Matrix<double> rough(1, 40);
  ASSERT_TRUE(scaled.Apply(v, TilePrecision::kFloat64, exact, context_).ok());
  ASSERT_TRUE(scaled.Apply(v, TilePrecision::kFloat32, rough, context_).ok());
  double most = 0.0;
  for (Index i = 0; i < 40; ++i) {
    most = std::max(most, std::abs(exact(0, i) - rough(0, i)));
  }
  // 4 u_32 s|a - c|^2 and the sums, times sqrt(n) entries of at most 1.
  EXPECT_LT(most, 0x1p-24 * (24.0 + 30.0 * problem.rows().logit_max));
  EXPECT_GT(most, 0.0);
}

INSTANTIATE_TEST_SUITE_P(All, ScaledSystemTest,
                         testing::Values(KernelNormalization::kNone,
                                         KernelNormalization::kUnitDiagonal,
                                         KernelNormalization::kSoftmaxRows));

}  // namespace
}  // namespace steelyard
