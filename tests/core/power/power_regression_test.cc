#include "steelyard/power_regression.h"

#include <gmock/gmock.h>

#include <tuple>

#include "tests/core/power/power_problems.h"
#include "tests/support/bounds.h"

namespace steelyard::test {
namespace {

constexpr Index kRows = 24;
constexpr Index kCols = 6;

using FamilyExponentCondition = std::tuple<PowerFamily, int, double>;

class PowerAccuracyTest
    : public testing::TestWithParam<FamilyExponentCondition> {
 protected:
  PowerFamily family() const { return std::get<0>(GetParam()); }
  double condition() const { return std::get<2>(GetParam()); }
  PowerRegressionOptions options() const {
    return {.family = family(), .exponent = std::get<1>(GetParam())};
  }
  Matrix<double> b() const {
    const Index length = family() == PowerFamily::kGramPower ? kCols : kRows;
    return NormalMatrix(length, 1, Seed{5});
  }
};

TEST_P(PowerAccuracyTest, AgreesWithMpfrAndReportsItsError) {
  const Matrix<double> a = MatrixOfCondition(kRows, kCols, condition());
  const MpfrPowerOracle oracle = OracleOf(a, b(), options(), condition());

  const auto solution = SolvePower(a, b(), options());

  ASSERT_TRUE(solution.ok()) << solution.status();
  const SolveReport& report = solution->report;
  const double error = oracle.ForwardError(*solution);
  const double levels = options().exponent + 1.0;
  EXPECT_EQ(report.termination, Termination::kConverged);
  // j u kappa for generic b (N2); 8 for the constants of the residual.
  EXPECT_LE(error, 8.0 * levels * kUnitRoundoff * condition());
  // Right to the first digit, unless x is exact to the last bits.
  EXPECT_NEAR(report.forward_error[0], error, 0.1 * error);
  EXPECT_NEAR(report.relative_residual[0], oracle.RelativeResidual(*solution),
              0.01 * oracle.RelativeResidual(*solution));
  if (family() == PowerFamily::kLeftGramPower) {
    EXPECT_NEAR(report.excess_residual[0], oracle.ExcessResidual(*solution),
                0.1 * oracle.ExcessResidual(*solution));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Families, PowerAccuracyTest,
    testing::Combine(testing::Values(PowerFamily::kGramPower,
                                     PowerFamily::kLeftGramPower),
                     testing::Values(1, 2, 3),
                     testing::Values(1.0, 1e2, 1e4, 1e6, 1e9, 1e12)));

}  // namespace
}  // namespace steelyard::test
