#include "kernel/iterative_route.h"

#include <cmath>

#include "gtest/gtest.h"
#include "tests/support/kernel_oracle.h"
#include "tests/support/kernel_problems.h"

namespace steelyard {
namespace {

class IterativeRouteTest : public testing::Test {
 protected:
  Workers workers_{2};
  ComputeContext context_{.workers = workers_};
};

TEST_F(IterativeRouteTest, WideScalesAreJudgedByTheTrueLogits) {
  Matrix<double> a = test::RowsOfNorm(40, 4, 1.0, 1);
  a(11, 2) = 30.0;
  const Matrix<double> b = test::RowsOfNorm(40, 1, 1.0, 2);
  const KernelProblem problem = test::LoadProblem(a, b, {}, context_);
  ASSERT_GT(problem.form().spread, kCommonScaleSpreadMax);
  const auto answer = SolveIterative(problem, context_);
  ASSERT_TRUE(answer.ok()) << answer.status();
  const ColumnAnswer& column = answer->columns[0];
  const test::OracleResidual truth =
      test::KernelResidual({a}, column.x, test::ColumnOf(b, 0));
  EXPECT_NEAR(column.certificate.omega, truth.omega,
              column.certificate.row_error);
  EXPECT_EQ(column.termination, truth.relative_residual <= 1e-8
                                    ? Termination::kConverged
                                    : Termination::kPrecisionFloor);
}

TEST_F(IterativeRouteTest, ErrorsAreWithinTheirEstimate) {
  for (const double ridge : {0.0, 0.1}) {
    const Matrix<double> a = test::RowsOfNorm(25, 8, 3.0, 3);
    const Matrix<double> b = test::RowsOfNorm(25, 1, 1.0, 4);
    const KernelProblem problem =
        test::LoadProblem(a, b, {.ridge = ridge}, context_);
    const auto answer = SolveIterative(problem, context_);
    ASSERT_TRUE(answer.ok()) << answer.status();
    const ColumnAnswer& column = answer->columns[0];
    EXPECT_EQ(column.termination, Termination::kConverged);
    const ScaledVector truth = test::SolveKernelMpfr(
        {a, 1.0, KernelNormalization::kNone, ridge}, test::ColumnOf(b, 0), 256);
    ScaledVector gap = column.x;
    for (std::size_t i = 0; i < gap.size(); ++i) {
      gap[i] = Subtract(gap[i], truth[i]);
    }
    EXPECT_LE(RatioOf(NormOf(gap), NormOf(truth)), column.forward_error);
    EXPECT_LT(column.forward_error, 1e-3);
  }
}

}  // namespace
}  // namespace steelyard
