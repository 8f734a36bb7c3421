#include "kernel/block_epochs.h"

#include <cmath>

#include "gtest/gtest.h"
#include "linalg/blas.h"
#include "tests/support/kernel_problems.h"

namespace steelyard {
namespace {

class BlockEpochsTest : public testing::Test {
 protected:
  static constexpr Index kN = 400;

  KernelProblem Load(double ridge) const {
    return test::LoadProblem(
        a_, test::RowsOfNorm(kN, 2, 1.0, 2),
        {.normalization = KernelNormalization::kUnitDiagonal, .ridge = ridge},
        context_);
  }

  Workers workers_{2};
  ComputeContext context_{.workers = workers_};
  Matrix<double> a_ = test::RowsOfNorm(kN, 6, 1.5, 1);
};

TEST_F(BlockEpochsTest, TheErrorFallsInTheNormOfSAtEveryStep) {
  const KernelProblem problem = Load(1e-3);
  KernelProduct product = test::ProductOf(problem);
  ScaledSystem system(problem.rows(), problem.form(), product);
  const Matrix<double> c = ScaleRightHandSides(problem, context_).c;
  BlockEpochs epochs(system, 1, 2, context_);
  epochs.Restart(c, {0, 1});
  Matrix<double> z(2, kN);
  Matrix<double> sz(2, kN);
  double energy[2] = {0.0, 0.0};
  for (int epoch = 0; epoch < 12; ++epoch) {
    const auto broken = epochs.Step(TilePrecision::kFloat64, z);
    ASSERT_TRUE(broken.ok()) << broken.status();
    EXPECT_TRUE(broken->empty());
    ASSERT_TRUE(system.Apply(z, TilePrecision::kFloat64, sz, context_).ok());
    for (Index i = 0; i < 2; ++i) {
      const double now =
          Dot(z.row(i), sz.row(i), kN) / 2.0 - Dot(z.row(i), c.row(i), kN);
      EXPECT_LT(now, energy[i]) << epoch;
      energy[i] = now;
      // The residual of the recurrence is that of z.
      double square = 0.0;
      double size = 0.0;
      for (Index j = 0; j < kN; ++j) {
        square += std::pow(c(i, j) - sz(i, j), 2);
        size += std::abs(z(i, j));
      }
      EXPECT_NEAR(epochs.norms()[static_cast<std::size_t>(i)],
                  std::sqrt(square),
                  kUnitRoundoff * kN * (size + 1.0) * (epoch + 1.0));
    }
  }
}

TEST_F(BlockEpochsTest, FewerColumnsGoOnWithTheirOwnDirections) {
  const KernelProblem problem = Load(0.1);
  KernelProduct product = test::ProductOf(problem);
  ScaledSystem system(problem.rows(), problem.form(), product);
  const Matrix<double> c = ScaleRightHandSides(problem, context_).c;
  // The second column alone, after two steps in company and without.
  Matrix<double> second(1, kN);
  std::copy(c.row(1), c.row(1) + kN, second.row(0));
  BlockEpochs together(system, 1, 2, context_);
  BlockEpochs alone(system, 1, 1, context_);
  together.Restart(c, {0, 1});
  alone.Restart(second, {0});
  Matrix<double> z(2, kN);
  Matrix<double> z1(1, kN);
  for (int epoch = 0; epoch < 2; ++epoch) {
    ASSERT_TRUE(together.Step(TilePrecision::kFloat64, z).ok());
    ASSERT_TRUE(alone.Step(TilePrecision::kFloat64, z1).ok());
  }
  Matrix<double> sz(1, kN);
  ASSERT_TRUE(system.Apply(z1, TilePrecision::kFloat64, sz, context_).ok());
  for (Index j = 0; j < kN; ++j) sz(0, j) = second(0, j) - sz(0, j);
  together.Restart(sz, {1});
  alone.Restart(sz, {0});
  Matrix<double> next = z1;
  ASSERT_TRUE(together.Step(TilePrecision::kFloat64, next).ok());
  ASSERT_TRUE(alone.Step(TilePrecision::kFloat64, z1).ok());
  // |S^-1| <= 11: rounding apart the same step.
  for (Index j = 0; j < kN; ++j) {
    EXPECT_NEAR(next(0, j), z1(0, j), 11.0 * kN * kN * kUnitRoundoff);
  }
}

TEST_F(BlockEpochsTest, BitsDoNotDependOnTheWorkers) {
  const KernelProblem problem = Load(0.1);
  KernelProduct product = test::ProductOf(problem);
  ScaledSystem system(problem.rows(), problem.form(), product);
  const Matrix<double> c = ScaleRightHandSides(problem, context_).c;
  const Workers one(1);
  Matrix<double> z[2] = {Matrix<double>(2, kN), Matrix<double>(2, kN)};
  for (int i = 0; i < 2; ++i) {
    const ComputeContext context{.workers = i == 0 ? workers_ : one};
    BlockEpochs epochs(system, 1, 2, context);
    epochs.Restart(c, {0, 1});
    for (const auto precision :
         {TilePrecision::kFloat32, TilePrecision::kFloat64}) {
      ASSERT_TRUE(epochs.Step(precision, z[i]).ok());
    }
  }
  for (Index i = 0; i < z[0].size(); ++i) {
    ASSERT_EQ(z[0].data()[i], z[1].data()[i]);
  }
}

TEST_F(BlockEpochsTest, AResidualOfZeroIsNoBreakdown) {
  const KernelProblem problem = Load(0.1);
  KernelProduct product = test::ProductOf(problem);
  ScaledSystem system(problem.rows(), problem.form(), product);
  BlockEpochs epochs(system, 1, 1, context_);
  epochs.Restart(Matrix<double>(1, kN), {0});
  Matrix<double> z(1, kN);
  const auto broken = epochs.Step(TilePrecision::kFloat32, z);
  ASSERT_TRUE(broken.ok());
  EXPECT_TRUE(broken->empty());
  EXPECT_EQ(epochs.norms()[0], 0.0);
}

TEST_F(BlockEpochsTest, BlocksAreManyAndNotLarge) {
  EXPECT_EQ(BlockSize(1), 1);
  EXPECT_EQ(BlockSize(3), 2);
  EXPECT_EQ(BlockSize(10000), 800);
  EXPECT_EQ(BlockSize(1000000), 4096);
  EXPECT_EQ(BlockDirections(1), 8);
  EXPECT_EQ(BlockDirections(16), 2);
}

}  // namespace
}  // namespace steelyard
