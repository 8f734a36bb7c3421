// Problems built from their solutions: b = M x in 80-bit arithmetic.
#include "client/verify/power_system.h"

#include <cmath>

#include <gtest/gtest.h>

#include "tests/client/verify/key_tensors.h"
#include "tests/support/bounds.h"

namespace steelyard::verify {
namespace {

RowMatrix MatrixOf(const Matrix<double>& matrix) {
  return HeadsOf(test::TensorOf(matrix))[0].All();
}

RowMatrix ConditionedMatrix(Index n, Index d, double cond) {
  return MatrixOf(test::MatrixWithSingularValues(
      n, test::GeometricValues(d, cond), Seed{41}));
}

WideVector SomeSolution(Eigen::Index d) {
  WideVector x(d);
  for (Eigen::Index i = 0; i < d; ++i) {
    x[i] = 1.0L + 0.25L * static_cast<long double>(i % 3);
  }
  return x;
}

WideVector GramPowerTimes(const RowMatrix& a, WideVector x, int j) {
  for (int i = 0; i < j; ++i) x = MultiplyTransposed(a, Multiply(a, x));
  return x;
}

// The tests' own figure: j levels, each u kappa (N2), for generic b.
double ErrorBound(int j, double cond, Index d) {
  return test::Gamma(8 * (j + 1) * d) * cond * cond;
}

TEST(PowerSystemTest, TheExactSolutionHasNoResidual) {
  const RowMatrix a = ConditionedMatrix(40, 6, 50.0);
  const WideVector x = SomeSolution(6);
  for (const int j : {1, 2, 3}) {
    const PowerSystem system(a, {.exponent = j});
    const SolveFigures figures =
        system.Examine(GramPowerTimes(a, x, j), ScaledOf(x));
    EXPECT_LT(figures.relative_residual,
              figures.residual_floor + test::kUnitRoundoff);
    EXPECT_LT(figures.forward_error,
              std::pow(50.0, 2 * j) * 64 * test::kLongDoubleRoundoff);
    EXPECT_LT(figures.lapack_error, ErrorBound(j, std::pow(50.0, j), 6));
    EXPECT_LT(figures.backward_error, test::kUnitRoundoff);
  }
}

TEST(PowerSystemTest, ASolutionThatIsTwiceAsLargeIsNotOne) {
  const RowMatrix a = ConditionedMatrix(40, 6, 1e4);
  const WideVector x = SomeSolution(6);
  const PowerSystem system(a, {.exponent = 2});
  const SolveFigures figures =
      system.Examine(GramPowerTimes(a, x, 2), ScaledOf(2.0L * x));
  EXPECT_NEAR(figures.relative_residual, 1.0, 1e-6);
  EXPECT_NEAR(figures.forward_error, 1.0, 0.1);
}

TEST(PowerSystemTest, OddPowersSeparateTheExcess) {
  const RowMatrix a = ConditionedMatrix(30, 5, 20.0);
  const WideVector x = SomeSolution(5);
  const WideVector product = Multiply(a, GramPowerTimes(a, x, 1));
  // Something that no column of A reaches.
  WideVector b = product;
  const WideVector noise = SomeSolution(30) * product.norm();
  const PowerSystem least(a, {.left = true, .exponent = 0});
  const SolveFigures far = least.Examine(noise, ScaledOf(x));
  EXPECT_LT(far.lapack_residual, 64 * test::kUnitRoundoff);
  EXPECT_EQ(far.lapack_method, "dgels");

  const PowerSystem system(a, {.left = true, .exponent = 1});
  const SolveFigures figures = system.Examine(b, ScaledOf(x));
  EXPECT_LT(figures.excess_residual,
            figures.residual_floor + test::kUnitRoundoff);
  EXPECT_LT(figures.relative_residual,
            figures.residual_floor + test::kUnitRoundoff);
  const SolveFigures wrong = system.Examine(b, ScaledOf(0.5L * x));
  EXPECT_NEAR(wrong.excess_residual, 0.5, 1e-9);
}

TEST(PowerSystemTest, RidgeIsAddedToTheGram) {
  const RowMatrix a = ConditionedMatrix(30, 5, 20.0);
  const WideVector x = SomeSolution(5);
  const double ridge = 0.375;
  WideVector b = MultiplyTransposed(a, Multiply(a, x)) + 0.375L * x;
  const PowerSystem system(a, {.exponent = 1, .ridge = ridge});
  const SolveFigures figures = system.Examine(b, ScaledOf(x));
  EXPECT_LT(figures.relative_residual, 4 * test::kUnitRoundoff);
  EXPECT_LT(figures.lapack_error, ErrorBound(1, 20.0, 5));
  const PowerSystem without(a, {.exponent = 1});
  EXPECT_GT(without.Examine(b, ScaledOf(x)).relative_residual, 0.1);
}

TEST(PowerSystemTest, BelowFullRankBIsProjected) {
  Matrix<double> matrix = test::NormalMatrix(20, 4, Seed{43});
  for (Index i = 0; i < 20; ++i) matrix(i, 3) = matrix(i, 0);
  const RowMatrix a = MatrixOf(matrix);
  const PowerSystem system(a, {.exponent = 1});
  EXPECT_EQ(system.rank(), 3);
  WideVector x = SomeSolution(4);
  x[3] = x[0];  // In the row space.
  WideVector b = MultiplyTransposed(a, Multiply(a, x));
  b[0] += b.norm();  // Half of this is outside the row space.
  b[3] -= b[0] - b[3];
  const SolveFigures figures = system.Examine(b, ScaledOf(x));
  EXPECT_TRUE(std::isfinite(figures.lapack_error));
  EXPECT_LT(figures.lapack_residual, 1e-12);
}

TEST(PowerSystemTest, EntriesOfAnySize) {
  RowMatrix a = ConditionedMatrix(20, 4, 10.0);
  for (Eigen::Index i = 0; i < a.size(); ++i) {
    a.data()[i] = std::ldexp(a.data()[i], 1000);
  }
  // (A'A)^8 is 2^16000 times something; x 2^-16000.
  const PowerSystem system(a, {.exponent = 8});
  ScaledVector x = ScaledOf(SomeSolution(4));
  RowMatrix small = ConditionedMatrix(20, 4, 10.0);
  const WideVector b = GramPowerTimes(small, SomeSolution(4), 8);
  x.exponent -= 16000;
  EXPECT_LT(system.Examine(b, x).relative_residual,
            system.Examine(b, x).residual_floor + test::kUnitRoundoff);
}

TEST(PowerSystemTest, AZeroRightHandSide) {
  const PowerSystem system(ConditionedMatrix(9, 3, 2.0), {.exponent = 1});
  const WideVector zero = WideVector::Zero(3);
  EXPECT_EQ(system.Examine(zero, ScaledOf(zero)).relative_residual, 0.0);
  EXPECT_EQ(system.Examine(zero, ScaledOf(SomeSolution(3))).relative_residual,
            1.0);
}

}  // namespace
}  // namespace steelyard::verify
