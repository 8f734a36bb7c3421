#include "kernel/conjugate_gradient.h"

#include <cmath>

#include "gtest/gtest.h"
#include "preconditioner/probe.h"
#include "tests/support/kernel_oracle.h"
#include "tests/support/kernel_problems.h"

namespace steelyard {
namespace {

class ConjugateGradientTest : public testing::Test {
 protected:
  absl::StatusOr<ConjugateGradientResult> Run(
      const KernelProblem& problem, const ConjugateGradientOptions& options) {
    KernelProduct product = test::ProductOf(problem);
    ScaledSystem system(problem.rows(), problem.form(), product);
    return SolveConjugateGradient(
        system, ScaleRightHandSides(problem, context_).c, options, context_);
  }

  KernelProblem Load(double ridge, Index k) {
    return test::LoadProblem(
        system_.a, test::RowsOfNorm(120, k, 1.0, 2),
        {.normalization = KernelNormalization::kUnitDiagonal, .ridge = ridge},
        context_);
  }

  Workers workers_{2};
  ComputeContext context_{.workers = workers_};
  test::KernelSystem system_{test::RowsOfNorm(120, 6, 1.5, 1)};
};

TEST_F(ConjugateGradientTest, SeveralColumnsEndEachOnItsOwn) {
  const auto result = Run(Load(0.1, 20), {.tolerance = 1e-10});
  ASSERT_TRUE(result.ok());
  for (std::size_t c = 0; c < 20; ++c) {
    EXPECT_EQ(result->ends[c], IterationEnd::kConverged);
    EXPECT_TRUE(IsConverged(result->certificates[c], 1e-10));
    EXPECT_GT(result->iterations[c], 3);
  }
  EXPECT_TRUE(result->used_float32);
  // S has unit diagonal and least eigenvalue 0.1 / 1.1 at least.
  EXPECT_GE(result->ritz_least, 0.1 / 1.1 * 0.99);
  EXPECT_LE(result->ritz_largest, 120.0);
  EXPECT_GE(result->ritz_largest, 1.0);
}

// Sums of float32 tiles cancel, and the recurrence leaves the true residual
// long before its own estimate says so: no steps may be spent on that.
TEST_F(ConjugateGradientTest, Float32TilesTakeFewStepsMoreThanFloat64) {
  const KernelProblem problem = test::LoadProblem(
      test::RowsOfNorm(600, 16, 1.0, 1), test::RowsOfNorm(600, 1, 1.0, 2),
      {.normalization = KernelNormalization::kUnitDiagonal, .ridge = 3e-3},
      context_);
  const KernelProduct product = test::ProductOf(problem);
  const PreconditionerSource source{.rows = problem.rows(),
                                    .form = problem.form(),
                                    .product = product,
                                    .seed = 0};
  const auto monomials = MakePreconditioner(
      KernelPreconditioner::kPolynomialSketch, 17, source, context_);
  ASSERT_TRUE(monomials.ok());
  Probe probe(source);
  ASSERT_TRUE(probe.Add(**monomials, context_).ok());
  int steps = 0;
  while (steps < 500 && probe.run(0).residuals.back() > 1e-8) {
    ASSERT_TRUE(probe.Step({0}, context_).ok());
    ++steps;
  }
  const auto result =
      Run(problem, {.tolerance = 1e-8, .preconditioner = monomials->get()});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->ends[0], IterationEnd::kConverged);
  EXPECT_TRUE(result->used_float32);
  EXPECT_LE(result->iterations[0], 1.25 * steps + 3.0);
}

// G = 1 1': two eigenvalues, n + l and l, and residuals that are recomputed
// between the few steps.
TEST_F(ConjugateGradientTest, LeastRitzValueSurvivesReplacement) {
  const KernelProblem problem = test::LoadProblem(
      Matrix<double>(1000, 4), test::RowsOfNorm(1000, 1, 1.0, 2),
      {.normalization = KernelNormalization::kUnitDiagonal, .ridge = 0.01},
      context_);
  const auto result = Run(problem, {.tolerance = 1e-8});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->ends[0], IterationEnd::kConverged);
  EXPECT_GT(result->ritz_least, 0.009);
  EXPECT_LT(result->ritz_least, 0.02);
}

TEST_F(ConjugateGradientTest, LimitEndsWithACertificateOfWhatThereIs) {
  const auto result =
      Run(Load(0.5, 1), {.tolerance = 1e-12, .max_iterations = 5});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->ends[0], IterationEnd::kIterationLimit);
  EXPECT_EQ(result->iterations[0], 5);
  EXPECT_LT(result->certificates[0].relative_residual, 1.0);
  EXPECT_GT(result->certificates[0].floor, 0.0);
}

TEST_F(ConjugateGradientTest, SingularAndInconsistentIsSeen) {
  test::CopyRow(system_.a, 3, 50);
  const auto result = Run(Load(0.0, 1), {.max_iterations = 5000});
  ASSERT_TRUE(result.ok());
  EXPECT_TRUE(result->ends[0] == IterationEnd::kSingular ||
              result->ends[0] == IterationEnd::kStalled);
  // Never worse than x = 0.
  EXPECT_LE(result->certificates[0].relative_residual, 1.0);
}

TEST_F(ConjugateGradientTest, TimeLimitKeepsTheStepsDone) {
  const KernelProblem problem = Load(0.5, 1);
  StopSource source;
  context_.stop = source.token();
  int reports = 0;
  context_.progress = [&](const ProgressUpdate& update) {
    EXPECT_EQ(update.phase, "iterate");
    if (++reports == 6) source.RequestStop(StopReason::kTimeLimit);
  };
  const auto result = Run(problem, {.tolerance = 1e-12});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->ends[0], IterationEnd::kStopped);
  EXPECT_EQ(result->iterations[0], 6);
  EXPECT_LT(result->certificates[0].relative_residual, 1.0);
}

}  // namespace
}  // namespace steelyard
