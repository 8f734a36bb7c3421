#include "published/published_power.h"

#include <algorithm>
#include <cmath>

#include "gmock/gmock.h"
#include "steelyard/status.h"
#include "tests/core/power/power_problems.h"
#include "tests/core/sketch/sparse_matrices.h"
#include "tests/support/allocation_peak.h"
#include "tests/support/bounds.h"

namespace steelyard::test {
namespace {

using testing::HasSubstr;

constexpr Index kRows = 600;
constexpr Index kColumns = 8;

PowerRegressionOptions Options(PowerFamily family, int exponent) {
  PowerRegressionOptions options;
  options.family = family;
  options.exponent = exponent;
  options.method = PowerMethod::kSketchPublished;
  options.sketch.rows = 96;
  return options;
}

Index BRows(PowerFamily family) {
  return family == PowerFamily::kLeftGramPower ? kRows : kColumns;
}

struct Case {
  PowerFamily family;
  int exponent;
  double cond;
  double ridge;
};

class PublishedPowerTest : public testing::TestWithParam<Case> {};

INSTANTIATE_TEST_SUITE_P(
    Cases, PublishedPowerTest,
    testing::Values(Case{PowerFamily::kGramPower, 1, 10.0, 0.0},
                    Case{PowerFamily::kGramPower, 2, 1e3, 0.0},
                    Case{PowerFamily::kGramPower, 3, 1e4, 1e-5},
                    Case{PowerFamily::kLeftGramPower, 0, 1e8, 0.0},
                    Case{PowerFamily::kLeftGramPower, 0, 1e8, 1e-3},
                    Case{PowerFamily::kLeftGramPower, 1, 1e4, 0.0},
                    Case{PowerFamily::kLeftGramPower, 2, 100.0, 0.1}));

TEST_P(PublishedPowerTest, IsTheOraclesAnswerAndSaysHowFarItIs) {
  const Case& param = GetParam();
  PowerRegressionOptions options = Options(param.family, param.exponent);
  options.ridge = param.ridge;
  const Matrix<double> a = MatrixOfCondition(kRows, kColumns, param.cond);
  const Matrix<double> b = NormalMatrix(BRows(param.family), 1, Seed{12});
  const auto solution = SolvePower(a, b, options);
  ASSERT_TRUE(solution.ok()) << solution.status();
  const SolveReport& report = solution->report;
  EXPECT_EQ(report.termination, Termination::kConverged) << report.method;
  EXPECT_THAT(report.method, HasSubstr("sparse sign sketch of 96 rows"));
  EXPECT_EQ(report.rank, kColumns);
  const MpfrPowerOracle oracle = OracleOf(a, b, options, param.cond);
  // Steps bring every level to the floor: some (j + 1) u kappa, times d.
  const double error = oracle.ForwardError(*solution);
  EXPECT_LE(error, 8.0 * (param.exponent + 1) * kColumns * kUnitRoundoff *
                       param.cond * 8.0);
  // Within 3x of the truth, or both at the roundoff of x itself.
  EXPECT_LE(error, 3.0 * report.forward_error[0] + Gamma(4));
  EXPECT_LE(report.forward_error[0], 3.0 * error + Gamma(4));
  const bool odd = param.family == PowerFamily::kLeftGramPower;
  const double residual = odd ? oracle.ExcessResidual(*solution)
                              : oracle.RelativeResidual(*solution);
  const double reported =
      odd ? report.excess_residual[0] : report.relative_residual[0];
  EXPECT_LE(residual, 3.0 * reported + Gamma(kColumns));
}

// Steps of the last level as `method` tells them are those of report.iterations
// where there is one level.
int Steps(double cond, double tolerance, PowerFamily family, int exponent) {
  PowerRegressionOptions options = Options(family, exponent);
  options.tolerance = tolerance;
  const Matrix<double> a = MatrixOfCondition(kRows, kColumns, cond);
  const Matrix<double> b = NormalMatrix(BRows(family), 1, Seed{13});
  return SolvePower(a, b, options)->report.iterations;
}

TEST(PublishedStepsTest, DoNotDependOnTheConditionNumber) {
  const int few = Steps(1e2, 1e-4, PowerFamily::kLeftGramPower, 0);
  EXPECT_GT(few, 3);
  for (const double cond : {1e4, 1e6, 1e8, 1e10}) {
    EXPECT_NEAR(Steps(cond, 1e-4, PowerFamily::kLeftGramPower, 0), few,
                0.2 * few)
        << cond;
  }
}

TEST(PublishedStepsTest, GrowLikeTheLogarithmOfTheTolerance) {
  const auto steps = [](double tolerance) {
    return Steps(1e3, tolerance, PowerFamily::kLeftGramPower, 0);
  };
  const int one = steps(1e-3);
  // Each three digits take as many steps, and the theory's at most: |g| falls
  // by 2 eta / (1 + eta^2), eta^2 = d / s = 1 / 12, a step.
  const double eta = std::sqrt(1.0 / 12.0);
  const double most =
      std::log(1e-3) / std::log(2.0 * eta / (1.0 + eta * eta)) + 2.0;
  EXPECT_LE(one, most);
  EXPECT_LE(steps(1e-6), 2.0 * most);
  EXPECT_LE(steps(1e-9), 3.0 * most);
  EXPECT_GE(steps(1e-9), 2 * one);
}

TEST(PublishedPowerEdgesTest, AResidualThatIsAskedForIsReached) {
  PowerRegressionOptions options = Options(PowerFamily::kGramPower, 2);
  options.tolerance = 1e-6;
  const Matrix<double> a = MatrixOfCondition(kRows, kColumns, 50.0);
  const Matrix<double> b = NormalMatrix(kColumns, 2, Seed{14});
  const auto solution = SolvePower(a, b, options);
  ASSERT_TRUE(solution.ok()) << solution.status();
  EXPECT_EQ(solution->report.termination, Termination::kConverged);
  EXPECT_LE(solution->report.relative_residual[0], 1e-6);
  EXPECT_THAT(solution->report.method, HasSubstr("for the residual"));
}

TEST(PublishedPowerEdgesTest, SparseMatricesAreSolvedFromTheirEntries) {
  Matrix<double> a = MatrixOfCondition(kRows, kColumns, 10.0);
  for (Index i = 0; i < kRows; ++i) {
    for (Index c = 0; c < kColumns; ++c) {
      if ((i + c) % 3 != 0) a(i, c) = 0.0;
    }
  }
  const CsrMatrix<double> csr(a);
  const Matrix<double> b = NormalMatrix(kRows, 1, Seed{22});
  PowerRegressionOptions options = Options(PowerFamily::kLeftGramPower, 1);
  const auto solution = SolvePowerRegression(
      AnyCsrView(csr.view()), AnyMatrixView(b.view()), options, {OneWorker()});
  ASSERT_TRUE(solution.ok()) << solution.status();
  EXPECT_EQ(solution->report.termination, Termination::kConverged);
  const double error = OracleOf(a, b, options, 100.0).ForwardError(*solution);
  EXPECT_LE(error, 3.0 * solution->report.forward_error[0] + Gamma(4));
  options.sketch.kind = SketchKind::kSrht;
  EXPECT_EQ(
      SolvePowerRegression(AnyCsrView(csr.view()), AnyMatrixView(b.view()),
                           options, {OneWorker()})
          .status()
          .code(),
      absl::StatusCode::kInvalidArgument);
}

TEST(PublishedPowerEdgesTest, ALimitOnStepsIsTold) {
  PowerRegressionOptions options = Options(PowerFamily::kLeftGramPower, 0);
  options.max_iterations = 10;
  const auto solution = SolvePower(MatrixOfCondition(kRows, kColumns, 10.0),
                                   NormalMatrix(kRows, 1, Seed{15}), options);
  ASSERT_TRUE(solution.ok()) << solution.status();
  EXPECT_EQ(solution->report.termination, Termination::kIterationLimit);
  EXPECT_EQ(solution->report.iterations, 10);
}

TEST(PublishedPowerEdgesTest, ARankBelowDIsIllConditioned) {
  Matrix<double> a = MatrixOfCondition(kRows, kColumns, 10.0);
  for (Index i = 0; i < kRows; ++i) a(i, 3) = 2.0 * a(i, 1) - a(i, 0);
  Matrix<double> b = NormalMatrix(kColumns, 2, Seed{16});
  for (Index i = 0; i < kColumns; ++i) b(i, 1) = 0.0;
  const auto solution = SolvePower(a, b, Options(PowerFamily::kGramPower, 1));
  ASSERT_TRUE(solution.ok()) << solution.status();
  EXPECT_EQ(solution->report.termination, Termination::kIllConditioned);
  EXPECT_EQ(solution->report.converged, (std::vector<bool>{false, true}));
  EXPECT_EQ(solution->report.rank, kColumns - 1);
  EXPECT_THAT(solution->report.method, HasSubstr("rank below d"));
  for (Index e = 0; e < solution->x.size(); ++e) {
    EXPECT_EQ(solution->x.data()[e], 0.0);
  }
  // A ridge mends it.
  PowerRegressionOptions options = Options(PowerFamily::kGramPower, 1);
  options.ridge = 0.01;
  EXPECT_EQ(SolvePower(a, b, options)->report.termination,
            Termination::kConverged);
}

TEST(PublishedPowerEdgesTest, ColumnsOfAnySizeAndFewRows) {
  Matrix<double> a = MatrixOfCondition(20, kColumns, 10.0);
  for (Index i = 0; i < 20; ++i) {
    a(i, 2) = std::ldexp(a(i, 2), 300);
    a(i, 5) = std::ldexp(a(i, 5), -400);
  }
  const auto solution = SolvePower(a, NormalMatrix(20, 1, Seed{17}),
                                   Options(PowerFamily::kLeftGramPower, 0));
  ASSERT_TRUE(solution.ok()) << solution.status();
  EXPECT_EQ(solution->report.termination, Termination::kConverged);
  EXPECT_THAT(solution->report.method, HasSubstr("too few rows"));
}

// CountSketch with d rows' worth of collisions is no embedding: steps grow
// shorter, or the answer says that it is none.
TEST(PublishedPowerEdgesTest, ABadSketchIsNeverTakenForAnAnswer) {
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    PowerRegressionOptions options = Options(PowerFamily::kLeftGramPower, 0);
    options.sketch = {.kind = SketchKind::kCountSketch, .rows = 2 * kColumns};
    options.seed = {seed};
    Matrix<double> a = MatrixOfCondition(kRows, kColumns, 100.0);
    for (Index i = 0; i < kColumns; ++i) a(i, i) += 100.0;
    const Matrix<double> b = NormalMatrix(kRows, 1, Seed{18});
    const auto solution = SolvePower(a, b, options);
    ASSERT_TRUE(solution.ok()) << solution.status();
    if (solution->report.termination != Termination::kConverged) continue;
    const MpfrPowerOracle oracle = OracleOf(a, b, options, 1e5);
    EXPECT_LE(oracle.ForwardError(*solution),
              3.0 * solution->report.forward_error[0] + Gamma(4));
  }
}

TEST(PublishedPowerEdgesTest, ExtendedOutputIsRefused) {
  PowerRegressionOptions options = Options(PowerFamily::kGramPower, 1);
  options.extended_output = true;
  const auto refused = SolvePower(MatrixOfCondition(kRows, kColumns, 10.0),
                                  NormalMatrix(kColumns, 1, Seed{19}), options);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(DetailOf(refused.status())->field, "extended_output");
}

TEST(PublishedPowerEdgesTest, TheCostCoversTheMemory) {
  const Matrix<double> a = NormalMatrix(3000, 40, Seed{20});
  const Matrix<double> b = NormalMatrix(3000, 60, Seed{21});
  PowerRegressionOptions options = Options(PowerFamily::kLeftGramPower, 1);
  options.sketch = {};
  for (const int count : {1, 3}) {
    const Workers workers(count);
    const Cost cost =
        CostOfPublished({.n = 3000, .d = 40, .k = 60}, options, count);
    const AllocationPeak peak;
    ASSERT_TRUE(SolvePower(a, b, options, workers).ok());
    EXPECT_LE(static_cast<double>(peak.bytes()), cost.bytes);
  }
}

}  // namespace
}  // namespace steelyard::test
