#include "power/sketched_least_squares.h"

#include <gtest/gtest.h>

#include <cmath>

#include "power/power_ladder.h"
#include "tests/core/power/power_problems.h"
#include "tests/support/bounds.h"

namespace steelyard::test {
namespace {

constexpr Index kRows = 400;
constexpr Index kCols = 8;

PowerRegressionOptions SketchOf(PowerFamily family, int exponent) {
  return {.family = family,
          .exponent = exponent,
          .method = PowerMethod::kSketch,
          .seed = Seed{3}};
}

class SketchAccuracyTest
    : public testing::TestWithParam<std::tuple<PowerFamily, int, double>> {};

TEST_P(SketchAccuracyTest, AgreesWithMpfrAndReportsItsError) {
  const auto [family, exponent, condition] = GetParam();
  const Matrix<double> a = MatrixOfCondition(kRows, kCols, condition);
  const Index length = family == PowerFamily::kGramPower ? kCols : kRows;
  const Matrix<double> b = NormalMatrix(length, 1, Seed{5});
  const PowerRegressionOptions options = SketchOf(family, exponent);
  const MpfrPowerOracle oracle = OracleOf(a, b, options, condition);

  const auto solution = SolvePower(a, b, options);

  ASSERT_TRUE(solution.ok()) << solution.status();
  const SolveReport& report = solution->report;
  EXPECT_NE(report.method.find("conjugate gradients"), std::string::npos)
      << report.method;
  const double error = oracle.ForwardError(*solution);
  const double levels = exponent + 1.0;
  // j u kappa for generic b (N2); least squares of a large residual: Wedin's
  // u kappa^2 |r| / (|A| |x|), of which x ~ kappa |r| leaves u kappa.
  EXPECT_LE(error, 32.0 * levels * kUnitRoundoff * condition);
  if (error < 0.1) {
    EXPECT_LE(report.forward_error[0], 3.0 * error + kUnitRoundoff);
    EXPECT_GE(report.forward_error[0], error / 3.0 - kUnitRoundoff);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Families, SketchAccuracyTest,
    testing::Values(std::tuple{PowerFamily::kLeftGramPower, 0, 1.0},
                    std::tuple{PowerFamily::kLeftGramPower, 0, 1e4},
                    std::tuple{PowerFamily::kLeftGramPower, 0, 1e8},
                    std::tuple{PowerFamily::kLeftGramPower, 0, 1e12},
                    std::tuple{PowerFamily::kLeftGramPower, 1, 1e3},
                    std::tuple{PowerFamily::kLeftGramPower, 2, 1e6},
                    std::tuple{PowerFamily::kGramPower, 1, 1e2},
                    std::tuple{PowerFamily::kGramPower, 2, 1e4},
                    std::tuple{PowerFamily::kGramPower, 3, 1e8}));

TEST(SketchTest, CoherentDuplicatedAndZeroRowsChangeNothing) {
  Matrix<double> a = MatrixOfCondition(kRows, kCols, 1e9);
  for (Index i = 0; i < kRows; ++i) {
    for (Index j = 0; j < kCols; ++j) {
      if (i % 5 == 1) a(i, j) = a(i - 1, j);
      if (i % 5 == 2) a(i, j) = 0.0;
      if (i == 7) a(i, j) = j == 2 ? 1e6 : 0.0;
    }
  }
  const Matrix<double> b = NormalMatrix(kRows, 1, Seed{6});
  const PowerRegressionOptions options =
      SketchOf(PowerFamily::kLeftGramPower, 0);
  const MpfrPowerOracle oracle = OracleOf(a, b, options, 1e15);
  PowerRegressionOptions by_qr = options;
  by_qr.method = PowerMethod::kQr;

  const auto sketch = SolvePower(a, b, options);
  const auto qr = SolvePower(a, b, by_qr);

  ASSERT_TRUE(sketch.ok() && qr.ok());
  EXPECT_LE(oracle.ForwardError(*sketch),
            2.0 * oracle.ForwardError(*qr) + 64.0 * kUnitRoundoff * 1e9);
  EXPECT_LE(oracle.ExcessResidual(*sketch),
            10.0 * oracle.ExcessResidual(*qr) + 64.0 * kUnitRoundoff);
}

TEST(SketchTest, ScalesChangeNothing) {
  const Matrix<double> a = MatrixOfCondition(kRows, kCols, 1e5);
  const Matrix<double> b = NormalMatrix(kRows, 1, Seed{7});
  const auto plain = SolvePower(a, b, SketchOf(PowerFamily::kLeftGramPower, 0));
  ASSERT_TRUE(plain.ok());
  for (const int shift : {-900, 900}) {
    Matrix<double> scaled = a;
    for (Index i = 0; i < a.size(); ++i) {
      scaled.data()[i] = std::ldexp(a.data()[i], shift);
    }
    const auto moved =
        SolvePower(scaled, b, SketchOf(PowerFamily::kLeftGramPower, 0));
    ASSERT_TRUE(moved.ok());
    EXPECT_NEAR(moved->report.relative_residual[0],
                plain->report.relative_residual[0], Gamma(kRows));
    EXPECT_EQ(moved->report.termination, plain->report.termination);
  }
}

TEST(SketchTest, RidgeIsPartOfTheSolve) {
  const Matrix<double> a = MatrixOfCondition(kRows, kCols, 1e9);
  const Matrix<double> b = NormalMatrix(kRows, 1, Seed{8});
  PowerRegressionOptions options = SketchOf(PowerFamily::kLeftGramPower, 0);
  options.ridge = 1e-8;
  const MpfrPowerOracle oracle = OracleOf(a, b, options, 1e9);
  const auto solution = SolvePower(a, b, options);
  ASSERT_TRUE(solution.ok());
  // kappa of [A; sqrt(l) I] is 1e4.
  EXPECT_LE(oracle.ForwardError(*solution), 64.0 * kUnitRoundoff * 1e4);
}

TEST(SketchTest, BitsDependOnTheSeedAloneNotOnWorkersOrNeighbours) {
  const Matrix<double> a = MatrixOfCondition(3000, kCols, 1e8);
  const Matrix<double> b = NormalMatrix(3000, 3, Seed{9});
  const auto options = SketchOf(PowerFamily::kLeftGramPower, 1);
  const auto one = SolvePower(a, b, options);
  const Workers three(3);
  const auto many = SolvePower(a, b, options, three);
  const auto alone = SolvePower(a, Column(b, 1), options);
  ASSERT_TRUE(one.ok() && many.ok() && alone.ok());
  for (Index i = 0; i < kCols; ++i) {
    for (Index c = 0; c < 3; ++c) EXPECT_EQ(one->x(i, c), many->x(i, c));
    EXPECT_EQ(one->x(i, 1), alone->x(i, 0));
  }
}

TEST(SketchTest, RankDeficientAndWideMatricesGoByQr) {
  Matrix<double> a = NormalMatrix(kRows, kCols, Seed{10});
  for (Index i = 0; i < kRows; ++i) a(i, 5) = a(i, 1) - a(i, 2);
  const Matrix<double> b = NormalMatrix(kRows, 1, Seed{11});
  const auto solution =
      SolvePower(a, b, SketchOf(PowerFamily::kLeftGramPower, 0));
  ASSERT_TRUE(solution.ok());
  EXPECT_EQ(solution->report.rank, kCols - 1);
  const Matrix<double> wide = NormalMatrix(4, kCols, Seed{12});
  const auto few = SolvePower(wide, NormalMatrix(4, 1, Seed{13}),
                              SketchOf(PowerFamily::kLeftGramPower, 0));
  ASSERT_TRUE(few.ok());
  EXPECT_EQ(few->report.rank, 4);
}

}  // namespace
}  // namespace steelyard::test
