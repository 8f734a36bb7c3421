#include "kernel/dense_route.h"

#include <cmath>

#include "gtest/gtest.h"
#include "tests/support/kernel_oracle.h"
#include "tests/support/kernel_problems.h"

namespace steelyard {
namespace {

class DenseRouteTest : public testing::Test {
 protected:
  Workers workers_{2};
  ComputeContext context_{.workers = workers_};
};

TEST_F(DenseRouteTest, ForwardErrorIsAboutTheTrueOne) {
  // Condition numbers from 1 to 1e10 by the length of the rows.
  for (const double norm : {5.0, 1.0, 0.3, 0.1}) {
    for (const auto kind :
         {KernelNormalization::kNone, KernelNormalization::kUnitDiagonal}) {
      const Matrix<double> a = test::RowsOfNorm(14, 6, norm, 1);
      const Matrix<double> b = test::RowsOfNorm(14, 1, 1.0, 2);
      KernelProblem problem =
          test::LoadProblem(a, b, {.normalization = kind}, context_);
      ASSERT_TRUE(
          test::PrepareRoadOf(problem, KernelMethod::kCholesky, context_).ok());
      const auto answer = SolveDense(problem, context_);
      ASSERT_TRUE(answer.ok()) << answer.status();
      const ColumnAnswer& column = answer->columns[0];
      const ScaledVector truth =
          test::SolveKernelMpfr({a, 1.0, kind}, test::ColumnOf(b, 0), 512);
      ScaledVector gap = column.x;
      for (std::size_t i = 0; i < gap.size(); ++i) {
        gap[i] = Subtract(gap[i], truth[i]);
      }
      const double error = RatioOf(NormOf(gap), NormOf(truth));
      EXPECT_LE(error, column.forward_error) << norm;
      EXPECT_GE(answer->condition, 1.0);
    }
  }
}

TEST_F(DenseRouteTest, ChainsOfCouplingsThatUnderflowAreFoundLinkByLink) {
  // Rows 0, 45, 90, ... on a line: G is the unit matrix in float64, K is not.
  Matrix<double> a(5, 1);
  for (Index i = 0; i < 5; ++i) a(i, 0) = 45.0 * static_cast<double>(i);
  const Matrix<double> b = test::RowsOfNorm(5, 1, 1.0, 3);
  KernelProblem problem = test::LoadProblem(a, b, {}, context_);
  ASSERT_TRUE(
      test::PrepareRoadOf(problem, KernelMethod::kCholesky, context_).ok());
  const auto answer = SolveDense(problem, context_);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_LE(answer->columns[0].certificate.omega,
            8.0 * kUnitRoundoff * problem.rows().logit_max);
  const ScaledVector truth =
      test::SolveKernelMpfr({a}, test::ColumnOf(b, 0), 120000);
  // Well conditioned in its own scales: logits of L, 40 u L.
  EXPECT_LE(test::ComponentwiseDifference(answer->columns[0].x, truth),
            kUnitRoundoff * (64.0 + 40.0 * problem.rows().logit_max) * 10.0);
}

TEST_F(DenseRouteTest, StoppedInTheFactorThereIsNoAnswer) {
  KernelProblem problem =
      test::LoadProblem(test::RowsOfNorm(50, 4, 2.0, 4),
                        test::RowsOfNorm(50, 2, 1.0, 5), {}, context_);
  StopSource source;
  source.RequestStop(StopReason::kTimeLimit);
  context_.stop = source.token();
  EXPECT_EQ(
      test::PrepareRoadOf(problem, KernelMethod::kCholesky, context_).code(),
      absl::StatusCode::kAborted);
}

}  // namespace
}  // namespace steelyard
