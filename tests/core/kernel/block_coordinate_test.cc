#include "kernel/block_coordinate.h"

#include <cmath>

#include "gtest/gtest.h"
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

TEST_F(BlockCoordinateTest, DuplicatedRowsAreNeverCalledConverged) {
  for (Index i = 0; i < 80; ++i) test::CopyRow(a_, i, 159 - i);
  const auto result = Run(Load(0.0, 1), {.max_epochs = 60});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_NE(result->solved.ends[0], IterationEnd::kConverged);
  EXPECT_LE(result->solved.certificates[0].relative_residual, 1.0 + 1e-9);
}

TEST_F(BlockCoordinateTest, BlocksAreManyAndNotLarge) {
  EXPECT_GE(1000 / BlockSize(1000), 7);
  EXPECT_LE(BlockSize(1000000), 2048);
  EXPECT_GE(BlockSize(1), 1);
}

}  // namespace
}  // namespace steelyard
