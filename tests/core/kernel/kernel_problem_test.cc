#include "kernel/kernel_problem.h"

#include <cmath>

#include "gtest/gtest.h"
#include "tests/support/kernel_oracle.h"
#include "tests/support/kernel_problems.h"

namespace steelyard {
namespace {

class KernelProblemTest : public testing::Test {
 protected:
  Workers workers_{2};
  ComputeContext context_{.workers = workers_};
};

TEST_F(KernelProblemTest, ScalingThereAndBackIsTheDiagonal) {
  // One row: S = 1, so that z = c and x = b / (e^{2h} + l).
  Matrix<double> a(1, 1);
  a(0, 0) = 50.0;
  Matrix<double> b(1, 1);
  b(0, 0) = 7.0;
  const KernelProblem problem =
      test::LoadProblem(a, b, {.ridge = 3.0}, context_);
  const ScaledRightHandSides rhs = ScaleRightHandSides(problem, context_);
  EXPECT_GE(std::abs(rhs.c(0, 0)), 0.5);
  const ScaledVector x = SolutionOf(problem, rhs.c.row(0), rhs.exponent[0]);
  EXPECT_NEAR(LogOf(x[0]), std::log(7.0) - 2500.0, 1e-11);
}

TEST_F(KernelProblemTest, JudgesByWhatWasMeasured) {
  KernelProblem problem =
      test::LoadProblem(test::RowsOfNorm(3, 2, 1.0, 1),
                        test::RowsOfNorm(3, 1, 1.0, 2), {}, context_);
  EXPECT_EQ(
      Judge(problem, {.relative_residual = 1e-9}, Termination::kIterationLimit),
      Termination::kConverged);
  EXPECT_EQ(
      Judge(problem, {.relative_residual = 1e-3}, Termination::kIterationLimit),
      Termination::kIterationLimit);
  EXPECT_EQ(Judge(problem,
                  {.relative_residual = 1e-3,
                   .floor = 1e-3,
                   .omega = 1e-16,
                   .within_error = true},
                  Termination::kIterationLimit),
            Termination::kPrecisionFloor);
}

TEST_F(KernelProblemTest, RidgeBoundHoldsTheTrueError) {
  for (const auto kind :
       {KernelNormalization::kNone, KernelNormalization::kUnitDiagonal,
        KernelNormalization::kSoftmaxRows}) {
    const Matrix<double> a = test::RowsOfNorm(12, 3, 1.0, 3);
    const Matrix<double> b = test::RowsOfNorm(12, 1, 1.0, 4);
    const KernelProblem problem = test::LoadProblem(
        a, b, {.normalization = kind, .ridge = 0.5}, context_);
    KernelProduct product = test::ProductOf(problem);
    ScaledSystem system(problem.rows(), problem.form(), product);
    const ScaledRightHandSides rhs = ScaleRightHandSides(problem, context_);
    const ScaledVector truth =
        test::SolveKernelMpfr({a, 1.0, kind, 0.5}, test::ColumnOf(b, 0), 256);
    // Near the solution, but not on it.
    Matrix<double> z(1, 12);
    for (Index i = 0; i < 12; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const ScaledNumber exact =
          TimesExp(truth[at], -problem.form().log_right[at]);
      z(0, i) = std::ldexp(exact.mantissa,
                           static_cast<int>(exact.exponent - rhs.exponent[0])) *
                (1.0 + 1e-3 * std::sin(static_cast<double>(i)));
    }
    const auto checked = system.Check(rhs.c, z, context_);
    ASSERT_TRUE(checked.ok());
    const double bound = RidgeErrorBound(problem, checked->residual.row(0),
                                         checked->error.row(0), z.row(0));
    ScaledVector gap = SolutionOf(problem, z.row(0), rhs.exponent[0]);
    const ScaledNumber size = NormOf(gap);
    for (std::size_t i = 0; i < 12; ++i) gap[i] = Subtract(gap[i], truth[i]);
    EXPECT_LE(RatioOf(NormOf(gap), size), bound);
    EXPECT_LT(bound, 0.5);
  }
}

TEST_F(KernelProblemTest, StoppedHasTheReasonOfTheToken) {
  StopSource limit;
  limit.RequestStop(StopReason::kTimeLimit);
  EXPECT_EQ(StoppedTermination(limit.token()), Termination::kTimeLimit);
  StopSource drain;
  drain.RequestStop(StopReason::kDraining);
  EXPECT_EQ(StoppedTermination(drain.token()), Termination::kStopped);
}

}  // namespace
}  // namespace steelyard
