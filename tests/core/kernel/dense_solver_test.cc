#include "kernel/dense_solver.h"

#include <cmath>

#include "gtest/gtest.h"
#include "kernel/certificate.h"
#include "tests/support/kernel_problems.h"

namespace steelyard {
namespace {

class DenseSolverTest : public testing::Test {
 protected:
  KernelProblem Load(const Matrix<double>& a) {
    return test::LoadProblem(
        a, test::RowsOfNorm(a.rows(), 1, 1.0, 2),
        {.normalization = KernelNormalization::kUnitDiagonal, .ridge = 0.0},
        context_);
  }

  Workers workers_{2};
  ComputeContext context_{.workers = workers_};
};

TEST_F(DenseSolverTest, SolvesInDoublesAndInBandsAlike) {
  const KernelProblem problem = Load(test::RowsOfNorm(60, 8, 2.0, 1));
  KernelProduct product = test::ProductOf(problem);
  const auto factor =
      DenseFactor::Make(problem.rows(), problem.form(), product, context_);
  ASSERT_TRUE(factor.ok());
  ASSERT_TRUE(factor->positive_definite());
  const Matrix<double> v = test::RowsOfNorm(2, 60, 1.0, 3);
  Matrix<double> z = v;
  ASSERT_TRUE(factor->Solve(z, context_).ok());
  Matrix<double> back(2, 60);
  ScaledSystem system(problem.rows(), problem.form(), product);
  ASSERT_TRUE(system.Apply(z, TilePrecision::kFloat64, back, context_).ok());
  const auto inverse = factor->InverseNorm(context_);
  ASSERT_TRUE(inverse.ok());
  EXPECT_GE(*inverse, 1.0);
  // Backward stable: (n + 1) u |R'||R||z|. Higham, ch. 10.
  const double bound = 61.0 * 60.0 * kUnitRoundoff * *inverse;
  for (Index i = 0; i < v.size(); ++i) {
    EXPECT_NEAR(back.data()[i], v.data()[i], bound);
  }
  // The same in three bands of exponents, by linearity.
  ScaledVector scaled;
  for (Index i = 0; i < 60; ++i) {
    scaled.push_back(MakeScaled(v(0, i), 1000 * (i % 3)));
  }
  Matrix<double> parts(3, 60);
  for (Index i = 0; i < 60; ++i) parts(i % 3, i) = v(0, i);
  ASSERT_TRUE(factor->Solve(parts, context_).ok());
  ASSERT_TRUE(factor->SolveScaled(scaled, context_).ok());
  for (Index i = 0; i < 60; ++i) {
    ScaledNumber expected;
    for (Index band = 0; band < 3; ++band) {
      expected = Add(expected, MakeScaled(parts(band, i), 1000 * band));
    }
    EXPECT_LT(RatioOf(Subtract(scaled[static_cast<std::size_t>(i)], expected),
                      expected),
              bound);
  }
}

TEST_F(DenseSolverTest, DuplicatedRowsAreNotPositiveDefinite) {
  Matrix<double> a = test::RowsOfNorm(30, 4, 3.0, 4);
  test::CopyRow(a, 2, 20);
  const KernelProblem problem = Load(a);
  const auto factor = DenseFactor::Make(problem.rows(), problem.form(),
                                        test::ProductOf(problem), context_);
  ASSERT_TRUE(factor.ok());
  EXPECT_FALSE(factor->positive_definite());
}

TEST_F(DenseSolverTest, PivotFloorFollowsTheLogitsButNotOneHugeRow) {
  Matrix<double> a = test::RowsOfNorm(5, 2, 1.0, 5);
  a(3, 0) = 1e50;
  const KernelProblem problem = Load(a);
  EXPECT_LT(PivotFloor(problem.rows(), 0), 1e-12);
  EXPECT_LT(PivotFloor(problem.rows(), 3), 1.0);
}

}  // namespace
}  // namespace steelyard
