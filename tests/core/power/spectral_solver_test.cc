#include "power/spectral_solver.h"

#include <gtest/gtest.h>

#include <cmath>
#include <tuple>

#include "steelyard/prepared_matrix.h"
#include "tests/core/power/power_problems.h"
#include "tests/support/bounds.h"

namespace steelyard::test {
namespace {

constexpr Index kRows = 90;
constexpr Index kCols = 24;

SpectralFactor SpectralOf(const Matrix<double>& a) {
  const ComputeContext context{OneWorker()};
  const auto scales = ScanColumns(a.view(), "a", context);
  const auto factor =
      FactorMatrix(a.view(), *scales, {.grade = FactorGrade::kQr}, context);
  return **MakeSpectralFactor({a.view(), factor->scales.exponents}, *factor, {},
                              context);
}

// The rows and columns that were measured only: those of the last `m`.
SpectralFactor Knowing(SpectralFactor all, Index m) {
  const Index d = all.f.cols();
  Matrix<double> f(m, d);
  Matrix<double> n(m, d);
  for (Index r = 0; r < m; ++r) {
    for (Index q = 0; q < d; ++q) {
      f(r, q) = all.f(all.measured - m + r, q);
      n(r, q) = all.n(all.measured - m + r, q);
    }
  }
  all.f = std::move(f);
  all.n = std::move(n);
  all.measured = m;
  return all;
}

Solution AsSolution(const SpectralPower::Answer& answer) {
  Solution solution;
  solution.x = answer.x;
  for (Index i = 0; i < answer.x.rows(); ++i) {
    for (Index c = 0; c < answer.x.cols(); ++c) {
      solution.x_exponents.push_back(
          answer.exponents[static_cast<std::size_t>(c)]);
    }
  }
  return solution;
}

// Exponent, condition, directions that were measured.
using Problem = std::tuple<int, double, Index>;

class SpectralPowerTest : public testing::TestWithParam<Problem> {};

TEST_P(SpectralPowerTest, KnowsItsErrorWithinAFactorOfThree) {
  const auto [exponent, condition, measured] = GetParam();
  const Matrix<double> a = MatrixOfCondition(kRows, kCols, condition);
  const SpectralFactor spectral = Knowing(SpectralOf(a), measured);
  const SpectralPower power(spectral, exponent, {OneWorker()});
  ASSERT_TRUE(power.usable());
  const Matrix<double> b = NormalMatrix(kCols, 4, Seed{5});
  const auto answer = power.Solve(b, {0, 0, 0, 0});
  const Solution solution = AsSolution(answer);
  const PowerRegressionOptions options{.family = PowerFamily::kGramPower,
                                       .exponent = exponent};
  for (Index c = 0; c < 4; ++c) {
    const auto at = static_cast<std::size_t>(c);
    const MpfrPowerOracle oracle =
        OracleOf(a, Column(b, c), options, condition);
    const double error = oracle.ForwardError(solution, c);
    EXPECT_FALSE(answer.untrusted[at]);
    // The target of issue 4 for what is reported.
    EXPECT_LE(answer.certificate.forward_error[at], 3.0 * error);
    EXPECT_GE(answer.certificate.forward_error[at], error / 3.0);
    // j u kappa for generic b (N2), and the roundings of two products.
    EXPECT_LE(error, 8.0 * kUnitRoundoff * (exponent * condition + 10.0));
    // Formed in float64: to within the floor of j + 1 levels, and at it (N2).
    const double floor =
        8.0 * (exponent + 1) * answer.certificate.residual_floor[at];
    EXPECT_NEAR(answer.certificate.relative_residual[at],
                oracle.RelativeResidual(solution, c), floor);
    EXPECT_LE(answer.certificate.relative_residual[at], floor);
  }
}

INSTANTIATE_TEST_SUITE_P(Problems, SpectralPowerTest,
                         testing::Combine(testing::Values(1, 2, 3, 7),
                                          testing::Values(1.0, 1e2, 1e4, 1e6),
                                          testing::Values(kCols, 10)));

TEST(SpectralPowerTest, ALeadingSingularVectorIsNotTrustedOrRight) {
  const Matrix<double> a = MatrixOfCondition(kRows, kCols, 1e4);
  const SpectralFactor spectral = SpectralOf(a);
  Matrix<double> b(kCols, 1);
  for (Index i = 0; i < kCols; ++i) b(i, 0) = spectral.v_transposed(0, i);
  for (const int exponent : {1, 2}) {
    const SpectralPower power(spectral, exponent, {OneWorker()});
    const auto answer = power.Solve(b, {0});
    const PowerRegressionOptions options{.family = PowerFamily::kGramPower,
                                         .exponent = exponent};
    const double error =
        OracleOf(a, b, options, 1e4).ForwardError(AsSolution(answer));
    if (!answer.untrusted[0]) {
      EXPECT_LE(answer.certificate.forward_error[0], 3.0 * error);
      EXPECT_GE(answer.certificate.forward_error[0], error / 3.0);
    } else {
      EXPECT_GT(error, 1e3 * kUnitRoundoff * 1e4);  // far worse than generic
    }
  }
}

TEST(SpectralPowerTest, ZeroIsSolvedByZero) {
  const SpectralFactor spectral =
      SpectralOf(MatrixOfCondition(kRows, kCols, 10.0));
  const auto answer = SpectralPower(spectral, 3, {OneWorker()})
                          .Solve(Matrix<double>(kCols, 2), {0, 0});
  for (Index i = 0; i < kCols; ++i) EXPECT_EQ(answer.x(i, 1), 0.0);
  EXPECT_EQ(answer.certificate.forward_error[1], 0.0);
  EXPECT_FALSE(answer.untrusted[0]);
}

TEST(SpectralPowerTest, PowersBeyondFloat64AreLeftToTheLevels) {
  const SpectralFactor spectral =
      SpectralOf(MatrixOfCondition(kRows, kCols, 1e4));
  EXPECT_TRUE(SpectralPower(spectral, 10, {OneWorker()}).usable());
  EXPECT_FALSE(SpectralPower(spectral, 64, {OneWorker()}).usable());
}

}  // namespace
}  // namespace steelyard::test
