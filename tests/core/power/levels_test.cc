#include "power/levels.h"

#include <gtest/gtest.h>

#include "tests/core/power/level_problem.h"
#include "tests/support/bounds.h"

namespace steelyard::test {
namespace {

constexpr double kCondition = 1e5;

LevelProblem Example(bool odd, int j) {
  return LevelProblem(MatrixOfCondition(30, 5, kCondition),
                      NormalMatrix(odd ? 30 : 5, 2, Seed{3}), odd, j);
}

double LargestRatio(const ScaledBlock& x, const ScaledBlock& y) {
  const std::vector<double> a = Log2Norms(x);
  const std::vector<double> b = Log2Norms(y);
  double largest = 0.0;
  for (std::size_t c = 0; c < a.size(); ++c) {
    largest = std::max(largest, std::exp2(a[c] - b[c]));
  }
  return largest;
}

TEST(LevelsTest, EveryLevelSolvesItsEquation) {
  for (const bool odd : {false, true}) {
    const LevelProblem example = Example(odd, 2);
    const PowerProblem problem = example.Problem();
    Levels levels;
    const auto start = StartingBlock(problem, levels, example.context);
    ASSERT_TRUE(start.ok());
    for (int i = FirstLevel(problem); i <= 2; ++i) {
      ASSERT_TRUE(SolveLevel(problem, i, *start, levels, example.context).ok());
      ASSERT_TRUE(
          MeasureLevel(problem, i, *start, levels, example.context).ok());
      const auto at = static_cast<std::size_t>(i);
      // rho <= c u ||A||^2 ||z||, c as in the residual bound of a pass.
      EXPECT_LE(LargestRatio(levels.rho[at], levels.z[at]), Gamma(60))
          << "level " << i;
    }
    EXPECT_FALSE(levels.limited[0]);
    EXPECT_GE(levels.refinements[0], 2);
  }
}

TEST(LevelsTest, PolishedLevelsLeave106Bits) {
  const LevelProblem example = Example(false, 1);
  const PowerProblem problem = example.Problem();
  Levels levels;
  const auto start = StartingBlock(problem, levels, example.context);
  ASSERT_TRUE(start.ok());
  ASSERT_TRUE(SolveLevel(problem, 1, *start, levels, example.context).ok());
  ASSERT_TRUE(
      PolishLevel(problem, 1, *start, {0x1p-104, {}}, levels, example.context)
          .ok());
  EXPECT_LE(LargestRatio(levels.rho[1], levels.z[1]), 0x1p-98);
  // Without the low part what is left is its product with A'A.
  ASSERT_TRUE(DropLowPart(problem, levels, example.context).ok());
  const ScaledBlock predicted = levels.rho[1];
  ASSERT_TRUE(MeasureLevel(problem, 1, *start, levels, example.context).ok());
  for (Index e = 0; e < predicted.hi.size(); ++e) {
    EXPECT_NEAR(predicted.hi.data()[e], levels.rho[1].hi.data()[e],
                1e-9 * std::exp2(Log2Norms(predicted)[0]));
  }
}

TEST(LevelsTest, TheLimitOnRefinementsIsMarked) {
  // A Gram at kappa 3e6 needs more than one correction a level.
  LevelProblem example(MatrixOfCondition(30, 5, 3e6),
                       NormalMatrix(5, 1, Seed{3}), false, 1);
  FactorOptions options;
  options.method = FactorMethod::kGram;
  const auto factor = FactorMatrix(example.a.view(), example.factor.scales,
                                   options, example.context);
  ASSERT_TRUE(factor.ok());
  example.factor = *factor;
  const PowerProblem problem = example.Problem(1);
  Levels levels;
  const auto start = StartingBlock(problem, levels, example.context);
  ASSERT_TRUE(start.ok());
  ASSERT_TRUE(SolveLevel(problem, 1, *start, levels, example.context).ok());
  EXPECT_TRUE(levels.limited[0]);
  EXPECT_EQ(levels.refinements[0], 1);
}

// |b - A z|^2 without A, too.
TEST(LevelsTest, FinishingTellsTheResidualOfLeastSquares) {
  const LevelProblem example = Example(true, 0);
  const PowerProblem problem = example.Problem();
  Levels levels;
  const auto start = StartingBlock(problem, levels, example.context);
  ASSERT_TRUE(start.ok());
  ASSERT_TRUE(FinishLevel(problem, 0, *start, levels, example.context).ok());
  Levels measured = levels;
  ASSERT_TRUE(MeasureLevel(problem, 0, *start, measured, example.context).ok());
  for (std::size_t c = 0; c < 2; ++c) {
    EXPECT_LT(measured.r_squares[c], 0.99 * measured.b_squares[c]);
    // R stands for A.
    EXPECT_NEAR(levels.r_squares[c], measured.r_squares[c],
                GramBound(30, 5, kCondition) * measured.b_squares[c]);
  }
}

TEST(LevelsTest, FinishingNeedsNoPassOverA) {
  const LevelProblem example = Example(false, 3);
  const PowerProblem problem = example.Problem();
  Levels levels;
  const auto start = StartingBlock(problem, levels, example.context);
  ASSERT_TRUE(start.ok());
  for (int i = 1; i <= 3; ++i) {
    ASSERT_TRUE(FinishLevel(problem, i, *start, levels, example.context).ok());
  }
  // Unrefined: Gram and Cholesky lose u kappa^2 a level.
  Levels refined;
  const auto again = StartingBlock(problem, refined, example.context);
  ASSERT_TRUE(again.ok());
  for (int i = 1; i <= 3; ++i) {
    ASSERT_TRUE(SolveLevel(problem, i, *again, refined, example.context).ok());
  }
  ScaledBlock difference = levels.z[3];
  ScaledBlock minus = refined.z[3];
  for (Index e = 0; e < minus.hi.size(); ++e) minus.hi.data()[e] *= -1.0;
  AddTo(minus, difference);
  EXPECT_LE(LargestRatio(difference, refined.z[3]),
            3.0 * GramBound(30, 5, kCondition));
}

}  // namespace
}  // namespace steelyard::test
