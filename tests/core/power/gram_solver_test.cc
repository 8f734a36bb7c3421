#include "power/gram_solver.h"

#include <gtest/gtest.h>

#include <cmath>
#include <utility>

#include "tests/core/power/power_problems.h"
#include "tests/support/bounds.h"

namespace steelyard::test {
namespace {

Factor FactorOf(const Matrix<double>& a) {
  const ComputeContext context{OneWorker()};
  const auto scales = ScanColumns(a.view(), "a", context);
  auto factor = FactorMatrix(a.view(), *scales, {}, context);
  return *std::move(factor);
}

double Distance(const Matrix<double>& x, const Matrix<double>& y) {
  double sum = 0.0;
  for (Index e = 0; e < x.size(); ++e) {
    sum += (x.data()[e] - y.data()[e]) * (x.data()[e] - y.data()[e]);
  }
  return std::sqrt(sum);
}

// 12 x 5 of rank 3 with columns of sizes 1 to 1000.
Matrix<double> RankThree() {
  const Matrix<double> left = NormalMatrix(12, 3, Seed{1});
  const Matrix<double> right = NormalMatrix(3, 5, Seed{2});
  Matrix<double> a(12, 5);
  for (Index i = 0; i < 12; ++i) {
    for (Index j = 0; j < 5; ++j) {
      for (Index l = 0; l < 3; ++l) a(i, j) += left(i, l) * right(l, j);
      a(i, j) *= j == 0 ? 1000.0 : 1.0;
    }
  }
  return a;
}

TEST(GramSolverTest, SolveUndoesTheGram) {
  const Factor factor = FactorOf(MatrixOfCondition(20, 6, 100.0));
  const ComputeContext context{OneWorker()};
  const auto solver = GramSolver::Make(factor, context);
  ASSERT_TRUE(solver.ok());
  EXPECT_FALSE(solver->truncated());
  const Matrix<double> z = NormalMatrix(6, 3, Seed{4});
  Matrix<double> back = z;
  ASSERT_TRUE(solver->MultiplyGram(back, context).ok());
  ASSERT_TRUE(solver->Solve(back, context).ok());
  // Two products and two solves: 4 gamma_d kappa^2.
  EXPECT_LE(Distance(back, z), 24.0 * Gamma(6) * 1e4 * std::sqrt(18.0));
}

TEST(GramSolverTest, TruncatedSolveHasMinimumNormInUnscaledCoordinates) {
  const Matrix<double> a = RankThree();
  const Factor factor = FactorOf(a);
  ASSERT_EQ(factor.rank, 3);
  const ComputeContext context{OneWorker()};
  const auto solver = GramSolver::Make(factor, context);
  ASSERT_TRUE(solver.ok());
  // w = S^-1 A'A y for y in the row space: the answer is S y, nothing else.
  const std::vector<int>& exponents = factor.scales.exponents;
  Matrix<double> y(5, 1);
  for (Index j = 0; j < 5; ++j) y(j, 0) = a(0, j) + 2.0 * a(1, j);
  Matrix<double> z(5, 1);
  for (Index j = 0; j < 5; ++j) {
    z(j, 0) = std::ldexp(y(j, 0), exponents[static_cast<std::size_t>(j)]);
  }
  Matrix<double> block = z;
  ASSERT_TRUE(solver->MultiplyGram(block, context).ok());
  ASSERT_TRUE(solver->Solve(block, context).ok());
  double size = 0.0;
  for (Index j = 0; j < 5; ++j) size = std::max(size, std::abs(z(j, 0)));
  // kappa of the unscaled matrix: below 1e5.
  EXPECT_LE(Distance(block, z), 100.0 * kUnitRoundoff * 1e5 * size);
}

TEST(GramSolverTest, ProjectionKeepsTheRowSpaceAndIsIdempotent) {
  const Matrix<double> a = RankThree();
  const Factor factor = FactorOf(a);
  const ComputeContext context{OneWorker()};
  const auto solver = GramSolver::Make(factor, context);
  ASSERT_TRUE(solver.ok());
  ScaledBlock c(5, 2);
  const Matrix<double> other = NormalMatrix(5, 1, Seed{8});
  for (Index j = 0; j < 5; ++j) {
    c.hi(j, 0) = a(3, j);
    c.hi(j, 1) = other(j, 0);
  }
  ScaleRows(factor.scales.exponents, -1, c);
  ScaledBlock once = c;
  ASSERT_TRUE(solver->Project(once, context).ok());
  ScaledBlock twice = once;
  ASSERT_TRUE(solver->Project(twice, context).ok());
  ScaleRows(factor.scales.exponents, 1, c);
  ScaleRows(factor.scales.exponents, 1, once);
  ScaleRows(factor.scales.exponents, 1, twice);
  EXPECT_NEAR(Log2Norms(once)[0], Log2Norms(c)[0], 1e5 * kUnitRoundoff);
  EXPECT_LT(Log2Norms(once)[1], Log2Norms(c)[1]);
  EXPECT_NEAR(Log2Norms(twice)[1], Log2Norms(once)[1], 1e5 * kUnitRoundoff);
}

TEST(GramSolverTest, RankZeroAnswersZero) {
  const Factor factor = FactorOf(Matrix<double>(4, 3));
  const ComputeContext context{OneWorker()};
  const auto solver = GramSolver::Make(factor, context);
  ASSERT_TRUE(solver.ok());
  EXPECT_EQ(solver->rank(), 0);
  Matrix<double> block = NormalMatrix(3, 1, Seed{1});
  ASSERT_TRUE(solver->Solve(block, context).ok());
  EXPECT_EQ(Distance(block, Matrix<double>(3, 1)), 0.0);
}

}  // namespace
}  // namespace steelyard::test
