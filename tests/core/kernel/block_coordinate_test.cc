#include "kernel/block_coordinate.h"

#include <cmath>

#include "gtest/gtest.h"
#include "steelyard/attention_kernel_regression.h"
#include "tests/support/allocation_peak.h"
#include "tests/support/kernel_problems.h"

namespace steelyard {
namespace {

class BlockCoordinateTest : public testing::Test {
 protected:
  KernelProblem Load(double ridge, Index k) {
    return test::LoadProblem(
        a_, test::RowsOfNorm(a_.rows(), k, 1.0, 2),
        {.normalization = KernelNormalization::kUnitDiagonal, .ridge = ridge},
        context_);
  }

  absl::StatusOr<BlockCoordinateResult> Run(
      const KernelProblem& problem, const BlockCoordinateOptions& options) {
    KernelProduct product = test::ProductOf(problem);
    ScaledSystem system(problem.rows(), problem.form(), product);
    return SolveBlockCoordinate(
        system, ScaleRightHandSides(problem, context_).c, options, context_);
  }

  Workers workers_{2};
  ComputeContext context_{.workers = workers_};
  Matrix<double> a_ = test::RowsOfNorm(160, 6, 1.5, 1);
};

TEST_F(BlockCoordinateTest, ConvergesWithACertificateFromAllOfS) {
  const auto result = Run(Load(0.1, 3), {.tolerance = 1e-9});
  ASSERT_TRUE(result.ok()) << result.status();
  for (std::size_t c = 0; c < 3; ++c) {
    EXPECT_EQ(result->solved.ends[c], IterationEnd::kConverged);
    EXPECT_TRUE(IsConverged(result->solved.certificates[c], 1e-9));
  }
  EXPECT_TRUE(result->solved.used_float32);
  // S has eigenvalues in [0.1 / 1.1, 160].
  EXPECT_GT(result->condition, 1.0);
  EXPECT_LE(result->condition, 160.0 * 11.0 * 1.01);
}

TEST_F(BlockCoordinateTest, TheSeedDrawsThePartitions) {
  const KernelProblem problem = Load(0.1, 1);
  const auto one = Run(problem, {.max_epochs = 3, .seed = 1});
  const auto again = Run(problem, {.max_epochs = 3, .seed = 1});
  const auto other = Run(problem, {.max_epochs = 3, .seed = 2});
  ASSERT_TRUE(one.ok() && again.ok() && other.ok());
  EXPECT_EQ(one->solved.z(0, 5), again->solved.z(0, 5));
  EXPECT_NE(one->solved.z(0, 5), other->solved.z(0, 5));
  EXPECT_EQ(one->solved.ends[0], IterationEnd::kIterationLimit);
  EXPECT_LT(one->solved.certificates[0].relative_residual, 1.0);
}

TEST_F(BlockCoordinateTest, ReachesTolerancesThatFloat32TilesDoNot) {
  const auto result = Run(Load(0.01, 2), {.tolerance = 2e-11});
  ASSERT_TRUE(result.ok()) << result.status();
  for (std::size_t c = 0; c < 2; ++c) {
    EXPECT_EQ(result->solved.ends[c], IterationEnd::kConverged);
    EXPECT_TRUE(IsConverged(result->solved.certificates[c], 2e-11));
  }
}

TEST_F(BlockCoordinateTest, TheCertificateIsThatOfTheAnswer) {
  // Three epochs of an ill-conditioned S: the best that was seen.
  const KernelProblem problem = Load(1e-7, 2);
  const auto result = Run(problem, {.max_epochs = 3});
  ASSERT_TRUE(result.ok()) << result.status();
  KernelProduct product = test::ProductOf(problem);
  ScaledSystem system(problem.rows(), problem.form(), product);
  const auto checked = system.Check(ScaleRightHandSides(problem, context_).c,
                                    result->solved.z, context_);
  ASSERT_TRUE(checked.ok());
  for (std::size_t c = 0; c < 2; ++c) {
    EXPECT_EQ(result->solved.ends[c], IterationEnd::kIterationLimit);
    EXPECT_EQ(result->solved.certificates[c].relative_residual,
              checked->certificates[c].relative_residual);
    EXPECT_LE(checked->certificates[c].relative_residual, 1.0);
  }
}

TEST_F(BlockCoordinateTest, AZeroRightHandSideIsAnsweredByZero) {
  Matrix<double> b = test::RowsOfNorm(160, 2, 1.0, 2);
  for (Index i = 0; i < 160; ++i) b(i, 1) = 0.0;
  const KernelProblem problem = test::LoadProblem(
      a_, b,
      {.normalization = KernelNormalization::kUnitDiagonal, .ridge = 0.1},
      context_);
  const auto result = Run(problem, {.tolerance = 1e-9});
  ASSERT_TRUE(result.ok()) << result.status();
  for (std::size_t c = 0; c < 2; ++c) {
    EXPECT_EQ(result->solved.ends[c], IterationEnd::kConverged);
  }
  for (Index i = 0; i < 160; ++i) EXPECT_EQ(result->solved.z(1, i), 0.0);
}

TEST_F(BlockCoordinateTest, MoreColumnsThanGoTogether) {
  const auto result = Run(Load(0.1, 18), {.tolerance = 1e-6});
  ASSERT_TRUE(result.ok()) << result.status();
  for (const IterationEnd end : result->solved.ends) {
    EXPECT_EQ(end, IterationEnd::kConverged);
  }
}

TEST_F(BlockCoordinateTest, DuplicatedRowsAreNeverCalledConverged) {
  for (Index i = 0; i < 80; ++i) test::CopyRow(a_, i, 159 - i);
  const auto result = Run(Load(0.0, 1), {.max_epochs = 60});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_NE(result->solved.ends[0], IterationEnd::kConverged);
  EXPECT_LE(result->solved.certificates[0].relative_residual, 1.0 + 1e-9);
}

TEST_F(BlockCoordinateTest, MemoryStaysWithinWhatIsReserved) {
  constexpr Index kN = 1500;
  const Matrix<double> a = test::RowsOfNorm(kN, 6, 1.5, 1);
  for (const Index k : {1, 16}) {
    const Matrix<double> b = test::RowsOfNorm(kN, k, 1.0, 2);
    // Both precisions, and a solution of the worst shape: no end in sight.
    const AttentionKernelOptions options{
        .normalization = KernelNormalization::kUnitDiagonal,
        .ridge = 1e-9,
        .tolerance = 1e-12,
        .max_iterations = 40,
        .method = KernelMethod::kBlockCoordinate};
    const test::AllocationPeak peak;
    ASSERT_TRUE(
        SolveAttentionKernelRegression(a.view(), b.view(), options, context_)
            .ok());
    EXPECT_LE(static_cast<double>(peak.bytes()),
              CostOfAttentionKernelRegression(kN, 6, k, options, 2).bytes)
        << k;
  }
}

TEST_F(BlockCoordinateTest, StopsAreSeenInEveryPhase) {
  const KernelProblem problem = Load(0.01, 1);
  KernelProduct product = test::ProductOf(problem);
  ScaledSystem system(problem.rows(), problem.form(), product);
  const Matrix<double> c = ScaleRightHandSides(problem, context_).c;
  for (const char* phase : {"iterate", "verify"}) {
    StopSource source;
    ComputeContext context{.workers = workers_, .stop = source.token()};
    context.progress = [&](const ProgressUpdate& update) {
      if (update.phase == phase) source.RequestStop(StopReason::kCancelled);
    };
    const auto result =
        SolveBlockCoordinate(system, c, {.tolerance = 1e-9}, context);
    EXPECT_TRUE(absl::IsCancelled(result.status())) << phase;
  }
  StopSource draining;
  int steps = 0;
  ComputeContext context{.workers = workers_, .stop = draining.token()};
  context.progress = [&](const ProgressUpdate&) {
    if (++steps == 3) draining.RequestStop(StopReason::kDraining);
  };
  const auto result =
      SolveBlockCoordinate(system, c, {.tolerance = 1e-9}, context);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->solved.ends[0], IterationEnd::kStopped);
  // The answer of the two epochs that were done.
  EXPECT_EQ(result->solved.iterations[0], 2);
  EXPECT_NE(result->solved.z(0, 0), 0.0);
}

}  // namespace
}  // namespace steelyard
