#include "power/certificate.h"

#include <gtest/gtest.h>

#include "power/termination.h"
#include "tests/core/power/level_problem.h"
#include "tests/support/bounds.h"

namespace steelyard::test {
namespace {

struct Solved {
  LevelProblem example;
  Levels levels;
  ScaledBlock start;
};

Solved SolvedLevels(bool odd, int j, double condition) {
  Solved solved{LevelProblem(MatrixOfCondition(30, 5, condition),
                             NormalMatrix(odd ? 30 : 5, 1, Seed{3}), odd, j),
                {},
                {}};
  const PowerProblem problem = solved.example.Problem();
  const ComputeContext& context = solved.example.context;
  solved.start = *StartingBlock(problem, solved.levels, context);
  for (int i = FirstLevel(problem); i <= j; ++i) {
    EXPECT_TRUE(
        SolveLevel(problem, i, solved.start, solved.levels, context).ok());
  }
  return solved;
}

Certificate Measured(Solved& solved) {
  const PowerProblem problem = solved.example.Problem();
  const ComputeContext& context = solved.example.context;
  for (int i = FirstLevel(problem); i <= problem.exponent; ++i) {
    EXPECT_TRUE(
        MeasureLevel(problem, i, solved.start, solved.levels, context).ok());
  }
  return *Certify(problem, solved.levels, {-53.0, 0.0}, context);
}

class CertificateTest : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Families, CertificateTest, testing::Bool());

// N2: 2x scores a backward error of 2e-16 at kappa 1e4, j = 2. The residual
// and the forward error must see it.
TEST_P(CertificateTest, DoubledAnswerIsNeverLabelledGood) {
  const bool odd = GetParam();
  Solved solved = SolvedLevels(odd, 2, 1e4);
  const Certificate good = Measured(solved);
  EXPECT_LE(good.forward_error[0], 8.0 * 3.0 * kUnitRoundoff * 1e4);
  for (std::int64_t& exponent : solved.levels.z[2].exponents) ++exponent;

  const Certificate doubled = Measured(solved);

  // x - 2 x = x is half of 2 x; e is solved for with the Gram's R.
  EXPECT_NEAR(doubled.forward_error[0], 0.5, GramBound(30, 5, 1e4));
  const double residual =
      odd ? doubled.excess_residual[0] : doubled.relative_residual[0];
  if (!odd) {
    EXPECT_NEAR(residual, 1.0, 0.1);
  }
  EXPECT_LE(doubled.backward_error[0], 1e-9);  // certifies nothing
  EXPECT_EQ(TerminationOf({.judged_residual = residual,
                           .residual_floor = doubled.residual_floor[0],
                           .forward_error = doubled.forward_error[0]},
                          1e-8, 2),
            Termination::kIllConditioned);
}

// Even family, well conditioned: the unset tolerance, too, must not accept 2x.
TEST(CertificateTest, DoubledAnswerIsFarAboveTheUnsetTolerance) {
  Solved solved = SolvedLevels(false, 2, 10.0);
  for (std::int64_t& exponent : solved.levels.z[2].exponents) ++exponent;
  const Certificate doubled = Measured(solved);
  EXPECT_GT(doubled.relative_residual[0],
            1e6 * ToleranceOf(std::nullopt, 2, doubled.residual_floor[0]));
}

TEST_P(CertificateTest, SmallChangesOfAnyLevelAreSeen) {
  const bool odd = GetParam();
  for (const int level : {1, 2}) {
    Solved solved = SolvedLevels(odd, 2, 100.0);
    ScaledBlock& z = solved.levels.z[static_cast<std::size_t>(level)];
    const double size =
        std::exp2(Log2Norms(z)[0] - static_cast<double>(z.exponents[0]));
    z.hi(0, 0) += 1e-6 * size;
    // The same in the coordinates of x.
    ScaledBlock change(5, 1);
    change.hi(0, 0) = 1e-6 * size;
    change.exponents = z.exponents;
    ScaledBlock x = z;
    ScaleRows(solved.example.factor.scales.exponents, -1, change);
    ScaleRows(solved.example.factor.scales.exponents, -1, x);
    const double relative = std::exp2(Log2Norms(change)[0] - Log2Norms(x)[0]);
    const Certificate certificate = Measured(solved);
    if (level == 2) {
      EXPECT_NEAR(
          certificate.forward_error[0], relative,
          1e-6 * GramBound(30, 5, 100.0) + 8.0 * 3.0 * kUnitRoundoff * 100.0);
    } else {
      // rho_1 and rho_2 both see it and cancel: x itself is as good as before.
      EXPECT_LE(certificate.forward_error[0],
                1e4 * 1e-6 * GramBound(30, 5, 100.0));
    }
  }
}

TEST(CertificateTest, ResidualOfLeastSquaresIsThatOfTheLongWay) {
  Solved solved = SolvedLevels(true, 0, 10.0);
  const Certificate certificate = Measured(solved);
  const LevelProblem& example = solved.example;
  double square = 0.0;
  double b_square = 0.0;
  for (Index i = 0; i < 30; ++i) {
    double r = example.b(i, 0);
    for (Index j = 0; j < 5; ++j) {
      const auto exponent = static_cast<int>(
          solved.levels.z[0].exponents[0] -
          example.factor.scales.exponents[static_cast<std::size_t>(j)]);
      r -= example.a(i, j) * std::ldexp(solved.levels.z[0].hi(j, 0), exponent);
    }
    square += r * r;
    b_square += example.b(i, 0) * example.b(i, 0);
  }
  EXPECT_NEAR(certificate.relative_residual[0], std::sqrt(square / b_square),
              Gamma(100));
  EXPECT_LE(certificate.excess_residual[0], Gamma(60) * 10.0);
}

}  // namespace
}  // namespace steelyard::test
