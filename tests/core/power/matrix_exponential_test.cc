#include "power/matrix_exponential.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/core/power/power_problems.h"
#include "tests/support/bounds.h"

namespace steelyard::test {
namespace {

const PowerRegressionOptions kExponential{.family =
                                              PowerFamily::kMatrixExponential};

Matrix<double> ScaledTo(Matrix<double> a, double largest) {
  for (Index e = 0; e < a.size(); ++e) a.data()[e] *= largest;
  return a;
}

struct Shape {
  Index rows;
  double largest;  // s_1
  double condition;
};

class MatrixExponentialTest : public testing::TestWithParam<Shape> {};

INSTANTIATE_TEST_SUITE_P(Shapes, MatrixExponentialTest,
                         testing::Values(Shape{20, 0.5, 10.0},
                                         Shape{20, 1.0, 1e8},
                                         Shape{20, 5.0, 2.0},
                                         Shape{20, 9.0, 1.5},
                                         Shape{20, 6.0, 100.0}));

TEST_P(MatrixExponentialTest, AgreesWithTaylorInMpfr) {
  const auto [rows, largest, condition] = GetParam();
  const Matrix<double> a =
      ScaledTo(MatrixOfCondition(rows, 5, condition), largest);
  const Matrix<double> b = NormalMatrix(5, 1, Seed{9});
  const MpfrPowerOracle oracle = OracleOf(a, b, kExponential, 1.0);

  const auto solution = SolvePower(a, b, kExponential);

  ASSERT_TRUE(solution.ok()) << solution.status();
  const SolveReport& report = solution->report;
  const double error = oracle.ForwardError(*solution);
  // 2 u s_1 s_d (N2), and some roundings of the products.
  const double least = largest / condition;
  EXPECT_LE(error, 8.0 * kUnitRoundoff * (largest * least + 10.0));
  // An estimate from above, within the constants that it takes as 1.
  EXPECT_GE(report.forward_error[0], 0.5 * error);
  EXPECT_LE(report.forward_error[0],
            100.0 * kUnitRoundoff * (largest * (least + 1.0) + 1.0));
  EXPECT_LE(oracle.RelativeResidual(*solution),
            8.0 * std::max(report.residual_floor[0], kUnitRoundoff));
  EXPECT_NE(report.termination, Termination::kIllConditioned);
}

TEST(MatrixExponentialTest, FewerRowsThanColumnsKeepsTheRestOfB) {
  const Matrix<double> a = NormalMatrix(3, 6, Seed{2});
  const Matrix<double> b = NormalMatrix(6, 1, Seed{3});
  const auto solution = SolvePower(a, b, kExponential);
  ASSERT_TRUE(solution.ok()) << solution.status();
  const MpfrPowerOracle oracle = OracleOf(a, b, kExponential, 1.0);
  // s_d = 0; s_1 < 6 for 18 normals.
  EXPECT_LE(oracle.ForwardError(*solution), 8.0 * kUnitRoundoff * 10.0);
  EXPECT_EQ(solution->report.termination, Termination::kConverged);
}

TEST(MatrixExponentialTest, AnswersBelowTheRangeComeWithExponents) {
  // s_d = 28: x is about e^-784.
  const Matrix<double> a = ScaledTo(MatrixOfCondition(8, 2, 1.01), 28.3);
  const Matrix<double> b = NormalMatrix(2, 1, Seed{3});
  const auto solution = SolvePower(a, b, kExponential);
  ASSERT_TRUE(solution.ok()) << solution.status();
  ASSERT_EQ(solution->x_exponents.size(), 2u);
  EXPECT_LT(solution->x_exponents[0], -1075);
  EXPECT_GE(std::abs(solution->x(0, 0)), 0.5);
  const MpfrPowerOracle oracle = OracleOf(a, b, kExponential, 1.0);
  const double error = oracle.ForwardError(*solution);
  EXPECT_LE(error, 8.0 * kUnitRoundoff * 28.3 * 28.3);
  EXPECT_GE(solution->report.forward_error[0], error);
}

TEST(MatrixExponentialTest, ResidualsAreFiniteWhereTheExponentialOverflows) {
  // e^(s_1^2) = e^900 is no double.
  const Matrix<double> a = ScaledTo(MatrixOfCondition(20, 4, 1e3), 30.0);
  const Matrix<double> b = NormalMatrix(4, 2, Seed{3});
  const auto solution = SolvePower(a, b, kExponential);
  ASSERT_TRUE(solution.ok()) << solution.status();
  for (std::size_t c = 0; c < 2; ++c) {
    EXPECT_TRUE(std::isfinite(solution->report.relative_residual[c]));
    EXPECT_TRUE(std::isfinite(solution->report.residual_floor[c]));
    EXPECT_LE(solution->report.forward_error[c], 100.0 * kUnitRoundoff * 30.0);
  }
}

// Keys of a real head have s_1 = 151: e^(s_1^2) is 10^9900. Residual and floor
// end at the edge of float64, and yet which is smaller is known.
TEST(MatrixExponentialTest, IsJudgedWhereResidualAndFloorOverflow) {
  const Matrix<double> a = ScaledTo(MatrixOfCondition(20, 4, 20.0), 150.0);
  const Matrix<double> b = NormalMatrix(4, 1, Seed{3});
  const auto solution = SolvePower(a, b, kExponential);
  ASSERT_TRUE(solution.ok()) << solution.status();
  const SolveReport& report = solution->report;
  EXPECT_EQ(report.residual_floor[0], std::numeric_limits<double>::max());
  EXPECT_LE(report.relative_residual[0], std::numeric_limits<double>::max());
  EXPECT_EQ(report.termination, Termination::kConverged);

  PowerRegressionOptions strict = kExponential;
  strict.tolerance = 1e-8;
  const auto floored = SolvePower(a, b, strict);
  ASSERT_TRUE(floored.ok()) << floored.status();
  EXPECT_EQ(floored->report.termination, Termination::kPrecisionFloor);
}

TEST(MatrixExponentialTest, LeadingSingularVectorHasNoCertifiedDigit) {
  Matrix<double> a(2, 2);
  a(0, 0) = 8.0 * 0.6;
  a(0, 1) = 8.0 * 0.8;
  a(1, 0) = 0.1 * 0.8;
  a(1, 1) = -0.1 * 0.6;
  Matrix<double> b(2, 1);
  b(0, 0) = 0.6;
  b(1, 0) = 0.8;
  const auto solution = SolvePower(a, b, kExponential);
  ASSERT_TRUE(solution.ok()) << solution.status();
  EXPECT_GE(solution->report.forward_error[0], 0.1);
}

TEST(MatrixExponentialTest, HugeEntriesAreIllConditionedNotWrong) {
  const Matrix<double> a = ScaledTo(MatrixOfCondition(6, 2, 1.5), 1e300);
  const auto solution =
      SolvePower(a, NormalMatrix(2, 1, Seed{3}), kExponential);
  ASSERT_TRUE(solution.ok()) << solution.status();
  EXPECT_EQ(solution->report.termination, Termination::kIllConditioned);
  EXPECT_FALSE(solution->report.converged[0]);
  for (Index i = 0; i < 2; ++i) {
    EXPECT_TRUE(std::isfinite(solution->x(i, 0)));
  }
}

TEST(MatrixExponentialTest, ZeroMatrixIsTheIdentity) {
  const Matrix<double> b = NormalMatrix(3, 1, Seed{3});
  const auto solution = SolvePower(Matrix<double>(4, 3), b, kExponential);
  ASSERT_TRUE(solution.ok()) << solution.status();
  for (Index i = 0; i < 3; ++i) {
    EXPECT_NEAR(solution->x(i, 0), b(i, 0), Gamma(8) * 4.0);
  }
  EXPECT_EQ(solution->report.termination, Termination::kConverged);
}

}  // namespace
}  // namespace steelyard::test
