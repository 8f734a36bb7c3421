#include "power/series.h"

#include <cmath>

#include "gmock/gmock.h"
#include "tests/core/power/power_problems.h"
#include "tests/support/allocation_peak.h"
#include "tests/support/bounds.h"

namespace steelyard::test {
namespace {

using testing::HasSubstr;

constexpr Index kColumns = 6;

PowerRegressionOptions Options() {
  PowerRegressionOptions options;
  options.family = PowerFamily::kMatrixExponential;
  options.method = PowerMethod::kSeries;
  return options;
}

// Singular values from s_1 down to s_1 / 4.
Matrix<double> Sized(double s_1) {
  std::vector<double> values = GeometricValues(kColumns, 4.0);
  for (double& value : values) value *= s_1;
  return MatrixWithSingularValues(40, values, Seed{51});
}

class SeriesTest : public testing::TestWithParam<double> {};
INSTANTIATE_TEST_SUITE_P(Sizes, SeriesTest,
                         testing::Values(0.01, 0.5, 1.0, 2.0, 3.0, 4.0));

TEST_P(SeriesTest, LosesWhatTheTheorySaysAndSaysSo) {
  const double s_1 = GetParam();
  const Matrix<double> a = Sized(s_1);
  const Matrix<double> b = NormalMatrix(kColumns, 1, Seed{52});
  const auto solution = SolvePower(a, b, Options());
  ASSERT_TRUE(solution.ok()) << solution.status();
  const MpfrPowerOracle oracle = OracleOf(a, b, Options(), 4.0);
  const double error = oracle.ForwardError(*solution);
  const double s_d = s_1 / 4.0;
  // Some ten roundings of terms of size e^(s_1^2) |b|; |x| >= e^(-s_d^2) of
  // what b has along v_d, here more than 0.05 |b|.
  EXPECT_LE(error, 20.0 * Gamma(10) * std::exp(s_1 * s_1 + s_d * s_d));
  EXPECT_LE(error, 3.0 * solution->report.forward_error[0]);
  EXPECT_LE(solution->report.forward_error[0],
            3.0 * error + 40.0 * kUnitRoundoff);
  // Residuals agree with the oracle's but for the error of its own x.
  const double residual = oracle.RelativeResidual(*solution);
  EXPECT_LE(residual, 3.0 * solution->report.relative_residual[0] +
                          solution->report.residual_floor[0] * 16.0);
  EXPECT_THAT(solution->report.method, HasSubstr("terms of the series"));
  if (s_1 <= 0.5) {
    EXPECT_EQ(solution->report.termination, Termination::kConverged);
  } else {
    EXPECT_THAT(
        solution->report.termination,
        testing::AnyOf(Termination::kConverged, Termination::kPrecisionFloor));
  }
}

TEST(SeriesEdgesTest, NoDigitIsLeftOfALargeA) {
  for (const double s_1 : {7.0, 40.0, 1e200}) {
    const auto solution =
        SolvePower(Sized(s_1), NormalMatrix(kColumns, 2, Seed{53}), Options());
    ASSERT_TRUE(solution.ok()) << solution.status();
    EXPECT_EQ(solution->report.termination, Termination::kIllConditioned);
    EXPECT_GE(solution->report.forward_error[0], 0.1);
    EXPECT_EQ(solution->report.iterations, 0);
    for (Index e = 0; e < solution->x.size(); ++e) {
      EXPECT_EQ(solution->x.data()[e], 0.0);
    }
  }
}

TEST(SeriesEdgesTest, SoManyTermsAsAreAskedFor) {
  // A = (1/2) I below zeros: x = sum (-1/4)^k / k! b.
  Matrix<double> a(5, 2);
  a(1, 0) = a(4, 1) = 0.5;
  Matrix<double> b(2, 1);
  b(0, 0) = 1.0;
  b(1, 0) = -8.0;
  double partial = 0.0;
  double term = 1.0;
  for (int terms = 1; terms <= 4; ++terms) {
    partial += term;
    term *= -0.25 / terms;
    PowerRegressionOptions options = Options();
    options.terms = terms;
    const auto solution = SolvePower(a, b, options);
    ASSERT_TRUE(solution.ok()) << solution.status();
    EXPECT_NEAR(solution->x(0, 0), partial, Gamma(8));
    EXPECT_NEAR(solution->x(1, 0), -8.0 * partial, 8.0 * Gamma(8));
    EXPECT_EQ(solution->report.iterations, terms);
    EXPECT_NE(solution->report.termination, Termination::kConverged);
    // What was left out is most of the next term.
    EXPECT_NEAR(solution->report.forward_error[0] * std::exp(-0.25),
                std::abs(term), 0.5 * std::abs(term));
  }
  PowerRegressionOptions enough = Options();
  enough.terms = 30;
  EXPECT_EQ(SolvePower(a, b, enough)->report.termination,
            Termination::kConverged);
  enough.terms = 3;
  enough.tolerance = 0.01;
  EXPECT_EQ(SolvePower(a, b, enough)->report.termination,
            Termination::kConverged);
}

TEST(SeriesEdgesTest, TermsAskedForOfALargeAAreNoAnswer) {
  PowerRegressionOptions options = Options();
  for (const int terms : {3, 1000}) {
    options.terms = terms;
    const auto solution =
        SolvePower(Sized(1e30), NormalMatrix(kColumns, 1, Seed{54}), options);
    ASSERT_TRUE(solution.ok()) << solution.status();
    EXPECT_EQ(solution->report.termination, Termination::kIllConditioned);
    for (Index e = 0; e < solution->x.size(); ++e) {
      EXPECT_TRUE(std::isfinite(solution->x.data()[e]));
    }
  }
}

TEST(SeriesEdgesTest, FewerTermsForALooserTolerance) {
  const auto terms = [](double tolerance) {
    PowerRegressionOptions options = Options();
    options.tolerance = tolerance;
    const auto solution =
        SolvePower(Sized(1.0), NormalMatrix(kColumns, 1, Seed{55}), options);
    EXPECT_EQ(solution->report.termination, Termination::kConverged);
    return solution->report.iterations;
  };
  EXPECT_LT(terms(1e-3), terms(1e-6));
  EXPECT_LT(terms(1e-6), terms(1e-9));
}

TEST(SeriesEdgesTest, ALimitOnTermsIsTold) {
  PowerRegressionOptions options = Options();
  options.max_iterations = 8;
  const auto solution =
      SolvePower(Sized(1.0), NormalMatrix(kColumns, 1, Seed{56}), options);
  ASSERT_TRUE(solution.ok()) << solution.status();
  EXPECT_EQ(solution->report.termination, Termination::kIterationLimit);
  EXPECT_EQ(solution->report.iterations, 8);
}

TEST(SeriesEdgesTest, TheCostCoversTheMemory) {
  const Matrix<double> a = NormalMatrix(2000, 30, Seed{57});
  Matrix<double> small = a;
  for (Index e = 0; e < small.size(); ++e) small.data()[e] /= 64.0;
  const Matrix<double> b = NormalMatrix(30, 100, Seed{58});
  for (const int count : {1, 3}) {
    const Workers workers(count);
    const Cost cost =
        CostOfPowerRegression({.n = 2000, .d = 30, .k = 100}, Options(), count);
    const AllocationPeak peak;
    ASSERT_TRUE(SolvePower(small, b, Options(), workers).ok());
    EXPECT_LE(static_cast<double>(peak.bytes()), cost.bytes);
  }
}

}  // namespace
}  // namespace steelyard::test
