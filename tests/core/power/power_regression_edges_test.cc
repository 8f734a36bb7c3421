// Power regressions where something is special: the right-hand side, the rank,
// the size of the entries, the storage type, the time.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "steelyard/status.h"
#include "tests/core/power/power_problems.h"
#include "tests/support/bounds.h"

namespace steelyard::test {
namespace {

PowerRegressionOptions Even(int j) {
  return {.family = PowerFamily::kGramPower, .exponent = j};
}

PowerRegressionOptions Odd(int j) {
  return {.family = PowerFamily::kLeftGramPower, .exponent = j};
}

// U diag(values) V' with U, V known: column i of V is a singular vector.
struct KnownVectors {
  Matrix<double> a;
  Matrix<double> v;
};

KnownVectors MatrixWithVectors(Index n, Index d, double cond) {
  const Matrix<double> u = RandomOrthogonal(n, d, Seed{1});
  const Matrix<double> v = RandomOrthogonal(d, d, Seed{2});
  const std::vector<double> s = GeometricValues(d, cond);
  KnownVectors known{Matrix<double>(n, d), v};
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < d; ++j) {
      for (Index l = 0; l < d; ++l) {
        known.a(i, j) += u(i, l) * s[static_cast<std::size_t>(l)] * v(j, l);
      }
    }
  }
  return known;
}

// N2: a small residual does not certify x; forward_error says so.
TEST(PowerEdgesTest, LeadingSingularVectorConvergesWithItsTrueError) {
  const KnownVectors known = MatrixWithVectors(20, 5, 1e4);
  const Matrix<double> b = Column(known.v, 0);
  const MpfrPowerOracle oracle = OracleOf(known.a, b, Even(2), 1e4);
  const auto solution = SolvePower(known.a, b, Even(2));
  ASSERT_TRUE(solution.ok()) << solution.status();
  EXPECT_EQ(solution->report.termination, Termination::kConverged);
  EXPECT_LE(solution->report.relative_residual[0], 24.0 * kUnitRoundoff);
  const double error = oracle.ForwardError(*solution);
  EXPECT_GT(error, 1e3 * kUnitRoundoff * 1e4);  // far worse than generic
  EXPECT_NEAR(solution->report.forward_error[0], error,
              0.1 * std::max(error, 1.0));
}

TEST(PowerEdgesTest, LastSingularVectorIsEasy) {
  const KnownVectors known = MatrixWithVectors(20, 5, 1e4);
  const Matrix<double> b = Column(known.v, 4);
  const MpfrPowerOracle oracle = OracleOf(known.a, b, Even(3), 1e4);
  const auto solution = SolvePower(known.a, b, Even(3));
  ASSERT_TRUE(solution.ok()) << solution.status();
  EXPECT_EQ(solution->report.termination, Termination::kConverged);
  const double error = oracle.ForwardError(*solution);
  EXPECT_LE(error, 8.0 * 4.0 * kUnitRoundoff * 1e4);
  EXPECT_NEAR(solution->report.forward_error[0], error, 0.1 * error);
}

TEST(PowerEdgesTest, ZeroRightSideIsSolvedByZero) {
  for (const auto& options : {Even(2), Odd(0)}) {
    const Index length = options.family == PowerFamily::kGramPower ? 4 : 10;
    Matrix<double> b(length, 2);
    for (Index i = 0; i < length; ++i) b(i, 1) = 1.0;
    const auto solution =
        SolvePower(MatrixOfCondition(10, 4, 10.0), b, options);
    ASSERT_TRUE(solution.ok()) << solution.status();
    const SolveReport& report = solution->report;
    EXPECT_EQ(report.termination, Termination::kConverged);
    for (Index i = 0; i < 4; ++i) EXPECT_EQ(solution->x(i, 0), 0.0);
    EXPECT_EQ(report.relative_residual[0], 0.0);
    EXPECT_EQ(report.residual_floor[0], 0.0);
    EXPECT_EQ(report.backward_error[0], 0.0);
    EXPECT_EQ(report.optimality[0], 0.0);
    EXPECT_EQ(report.forward_error[0], 0.0);
    EXPECT_GT(report.residual_floor[1], 0.0);
  }
}

// Twice the same column: the minimum norm solution splits x evenly.
TEST(PowerEdgesTest, DuplicatedColumnsGiveTheMinimumNorm) {
  const Matrix<double> half = MatrixOfCondition(15, 3, 50.0);
  Matrix<double> a(15, 6);
  for (Index i = 0; i < 15; ++i) {
    for (Index j = 0; j < 6; ++j) a(i, j) = half(i, j % 3);
  }
  for (const auto& options : {Even(1), Even(2), Odd(0), Odd(1)}) {
    const bool even = options.family == PowerFamily::kGramPower;
    const Matrix<double> b = NormalMatrix(even ? 6 : 15, 1, Seed{6});
    const auto solution = SolvePower(a, b, options);
    ASSERT_TRUE(solution.ok()) << solution.status();
    const SolveReport& report = solution->report;
    EXPECT_EQ(report.rank, 3);
    EXPECT_LE(report.rank_gap, 6.0 * 40.0 * kUnitRoundoff * 50.0);
    EXPECT_EQ(report.termination, Termination::kConverged);
    // A = H E', E = [I; I], E'E = 2 I. Even: (A'A)^+j = E (H'H)^-j E' / 2^(j+1)
    // ... with x = E t: (H'H)^j t = 2^-(j+1) E'b; odd: t = x_H / 2^(j+1).
    Matrix<double> right(even ? 3 : 15, 1);
    const double scale = std::ldexp(1.0, -(options.exponent + 1));
    for (Index i = 0; i < right.rows(); ++i) {
      right(i, 0) = scale * (even ? b(i, 0) + b(i + 3, 0) : b(i, 0));
    }
    const MpfrPowerOracle oracle = OracleOf(half, right, options, 50.0);
    double size = 0.0;
    for (Index i = 0; i < 3; ++i) {
      size = std::max(size, std::abs(solution->x(i, 0)));
    }
    for (Index i = 0; i < 6; ++i) {
      long exponent = 0;
      const double value = oracle.Value(i % 3, &exponent);
      EXPECT_NEAR(solution->x(i, 0),
                  std::ldexp(value, static_cast<int>(exponent)),
                  100.0 * (options.exponent + 1) * kUnitRoundoff * 50.0 * size);
    }
    EXPECT_LE(report.forward_error[0], 1000.0 * kUnitRoundoff * 50.0);
  }
}

// The row space has rounding errors that no residual shows.
TEST(PowerEdgesTest, RankDeficientAnswersClaimNoMoreThanFloat64) {
  const Matrix<double> half = MatrixOfCondition(15, 3, 1e4);
  Matrix<double> a(15, 4);
  for (Index i = 0; i < 15; ++i) {
    for (Index j = 0; j < 4; ++j) a(i, j) = half(i, j % 3);
  }
  auto options = Odd(0);
  options.extended_output = true;
  const auto solution = SolvePower(a, NormalMatrix(15, 1, Seed{6}), options);
  ASSERT_TRUE(solution.ok()) << solution.status();
  ASSERT_EQ(solution->report.rank, 3);
  EXPECT_GE(solution->report.forward_error[0],
            kUnitRoundoff * solution->report.condition_estimate);
}

// (s, 0, 1) and (0, 1, 1) span the rows, (1, s, -s) nothing: what x has of it is
// the turn of the computed row space in the coordinates of A, which grows with
// the column scales. Where it leaves no digit the answer says so.
TEST(PowerEdgesTest, ColumnScalesOfADeficientMatrixShowInTheForwardError) {
  const Matrix<double> mix = NormalMatrix(9, 2, Seed{8});
  for (const int shift : {0, 20, 40, 60}) {
    const double s = std::ldexp(1.0, shift);
    Matrix<double> a(9, 3);
    for (Index i = 0; i < 9; ++i) {
      // Few bits, so that the sum is exact.
      const double x = std::round(8.0 * mix(i, 0));
      const double y = std::round(8.0 * mix(i, 1));
      a(i, 0) = s * x;
      a(i, 1) = y;
      a(i, 2) = x + y;
    }
    const auto solution =
        SolvePower(a, NormalMatrix(3, 1, Seed{9}), Even(1));
    ASSERT_TRUE(solution.ok()) << solution.status();
    const SolveReport& report = solution->report;
    ASSERT_EQ(report.rank, 2);
    const Matrix<double>& x = solution->x;
    const double null[] = {1.0, s, -s};
    double dot = 0.0;
    double square = 0.0;
    for (Index i = 0; i < 3; ++i) {
      dot += x(i, 0) * null[i];
      square += x(i, 0) * x(i, 0);
    }
    const double length = std::hypot(null[0], null[1], null[2]);
    EXPECT_LE(std::abs(dot) / length / std::sqrt(square),
              report.forward_error[0])
        << shift;
    const bool certified = report.forward_error[0] < 0.1;
    EXPECT_EQ(certified, shift < 60) << report.forward_error[0];
    EXPECT_EQ(report.termination == Termination::kConverged, certified);
  }
}

TEST(PowerEdgesTest, ScalesTooFarApartGiveNumbersAllTheSame) {
  Matrix<double> a(1, 3);
  a(0, 0) = 1e150;
  a(0, 2) = -3e150;
  auto options = Even(10);
  options.ridge = 1e10;
  const auto solution = SolvePower(a, NormalMatrix(3, 1, Seed{10}), options);
  ASSERT_TRUE(solution.ok()) << solution.status();
  EXPECT_EQ(solution->report.termination, Termination::kIllConditioned);
  for (Index i = 0; i < 3; ++i) {
    EXPECT_TRUE(std::isfinite(solution->x(i, 0))) << i;
  }
}

// Nothing of b lies in the row space, so x has no digit of its own.
TEST(PowerEdgesTest, RightSideOutsideTheRowSpaceIsNotCertified) {
  Matrix<double> a(2, 2);
  a(0, 0) = a(0, 1) = 1.0;
  a(1, 0) = a(1, 1) = 3.0;
  Matrix<double> b(2, 1);
  b(0, 0) = 1.0;
  b(1, 0) = -1.0;
  const auto solution = SolvePower(a, b, Even(3));
  ASSERT_TRUE(solution.ok()) << solution.status();
  EXPECT_EQ(solution->report.rank, 1);
  EXPECT_EQ(solution->report.termination, Termination::kIllConditioned);
  EXPECT_GE(solution->report.forward_error[0], 0.1);
}

TEST(PowerEdgesTest, FewerRowsThanColumns) {
  const Matrix<double> a = NormalMatrix(3, 7, Seed{4});
  // b in the row space: A x = b' has solutions, and the residual is 0.
  const Matrix<double> b = NormalMatrix(3, 1, Seed{5});
  const auto solution = SolvePower(a, b, Odd(0));
  ASSERT_TRUE(solution.ok()) << solution.status();
  EXPECT_EQ(solution->report.rank, 3);
  EXPECT_EQ(solution->report.termination, Termination::kConverged);
  EXPECT_LE(solution->report.relative_residual[0], Gamma(100));
  for (Index i = 0; i < 3; ++i) {
    double product = 0.0;
    for (Index j = 0; j < 7; ++j) product += a(i, j) * solution->x(j, 0);
    EXPECT_NEAR(product, b(i, 0), Gamma(100) * 10.0);
  }
}

TEST(PowerEdgesTest, OneByOne) {
  Matrix<double> a(1, 1);
  a(0, 0) = 3.0;
  Matrix<double> b(1, 1);
  b(0, 0) = 243.0;
  const auto even = SolvePower(a, b, Even(2));
  ASSERT_TRUE(even.ok()) << even.status();
  EXPECT_EQ(even->x(0, 0), 3.0);
  const auto odd = SolvePower(a, b, Odd(2));
  ASSERT_TRUE(odd.ok()) << odd.status();
  EXPECT_EQ(odd->x(0, 0), 1.0);
  EXPECT_EQ(odd->report.termination, Termination::kConverged);
}

TEST(PowerEdgesTest, ZeroMatrixAnswersZero) {
  const Matrix<double> a(5, 3);
  for (const auto& options : {Even(1), Odd(1)}) {
    const Matrix<double> b = NormalMatrix(
        options.family == PowerFamily::kGramPower ? 3 : 5, 1, Seed{5});
    const auto solution = SolvePower(a, b, options);
    ASSERT_TRUE(solution.ok()) << solution.status();
    EXPECT_EQ(solution->report.rank, 0);
    EXPECT_EQ(solution->report.termination, Termination::kConverged);
    EXPECT_EQ(solution->x(0, 0), 0.0);
  }
}

TEST(PowerEdgesTest, ZeroAndDuplicatedRowsChangeNothingButTheGram) {
  const Matrix<double> half = MatrixOfCondition(12, 4, 30.0);
  Matrix<double> a(36, 4);
  for (Index i = 0; i < 24; ++i) {
    std::copy_n(half.row(i % 12), 4, a.row(i));
  }
  const Matrix<double> b = NormalMatrix(4, 1, Seed{5});
  const auto once = SolvePower(half, b, Even(2));
  const auto twice = SolvePower(a, b, Even(2));
  ASSERT_TRUE(once.ok() && twice.ok());
  // A'A doubles: x falls by 4.
  for (Index i = 0; i < 4; ++i) {
    EXPECT_NEAR(4.0 * twice->x(i, 0), once->x(i, 0),
                1000.0 * kUnitRoundoff * 30.0 * std::abs(once->x(i, 0)));
  }
}

class RidgeTest : public testing::TestWithParam<double> {};
INSTANTIATE_TEST_SUITE_P(Ridges, RidgeTest,
                         testing::Values(1e-8, 1e-3, 1.0, 1e6));

TEST_P(RidgeTest, BothFamiliesAgreeWithMpfr) {
  const Matrix<double> a = MatrixOfCondition(20, 5, 1e6);
  for (auto options : {Even(1), Even(3), Odd(0), Odd(2)}) {
    options.ridge = GetParam();
    const Matrix<double> b = NormalMatrix(
        options.family == PowerFamily::kGramPower ? 5 : 20, 1, Seed{5});
    const MpfrPowerOracle oracle = OracleOf(a, b, options, 1e6);
    const auto solution = SolvePower(a, b, options);
    ASSERT_TRUE(solution.ok()) << solution.status();
    const SolveReport& report = solution->report;
    const double error = oracle.ForwardError(*solution);
    EXPECT_EQ(report.termination, Termination::kConverged);
    EXPECT_LE(error, 32.0 * kUnitRoundoff *
                         std::max(1.0, std::sqrt(2.0 / options.ridge)));
    EXPECT_NEAR(report.forward_error[0], error, 0.1 * error);
    EXPECT_NEAR(report.relative_residual[0], oracle.RelativeResidual(*solution),
                0.01 * oracle.RelativeResidual(*solution));
  }
}

struct Size {
  double matrix;
  double right_side;
};

class EntrySizeTest : public testing::TestWithParam<Size> {};
INSTANTIATE_TEST_SUITE_P(Sizes, EntrySizeTest,
                         testing::Values(Size{1e300, 1.0}, Size{1e-300, 1.0},
                                         Size{1e300, 1e300},
                                         Size{1e-300, 1e-300},
                                         Size{1.0, 1e-300}));

TEST_P(EntrySizeTest, AnswersOutsideTheRangeComeWithExponents) {
  Matrix<double> a = MatrixOfCondition(12, 4, 100.0);
  for (Index e = 0; e < a.size(); ++e) a.data()[e] *= GetParam().matrix;
  for (const auto& options : {Even(1), Even(2), Odd(0), Odd(1)}) {
    Matrix<double> b = NormalMatrix(
        options.family == PowerFamily::kGramPower ? 4 : 12, 1, Seed{5});
    for (Index e = 0; e < b.size(); ++e) b.data()[e] *= GetParam().right_side;
    const MpfrPowerOracle oracle = OracleOf(a, b, options, 100.0);
    const auto solution = SolvePower(a, b, options);
    ASSERT_TRUE(solution.ok()) << solution.status();
    const SolveReport& report = solution->report;
    EXPECT_EQ(report.termination, Termination::kConverged);
    const double error = oracle.ForwardError(*solution);
    EXPECT_LE(error, 8.0 * 3.0 * kUnitRoundoff * 100.0);
    // A residual below the normal range of A has fewer bits.
    EXPECT_NEAR(report.forward_error[0], error, 0.1 * error);
    for (Index e = 0; e < solution->x.size(); ++e) {
      EXPECT_NE(solution->x.data()[e], 0.0);
      EXPECT_TRUE(std::isfinite(solution->x.data()[e]));
    }
  }
}

TEST(PowerEdgesTest, HighPowersPassTheRangeOfDoubles) {
  // kappa^128 = 1e768.
  const Matrix<double> a = MatrixOfCondition(12, 4, 1e6);
  for (const auto& options : {Even(64), Odd(64)}) {
    const Matrix<double> b = NormalMatrix(
        options.family == PowerFamily::kGramPower ? 4 : 12, 1, Seed{5});
    const MpfrPowerOracle oracle = OracleOf(a, b, options, 1e6);
    const auto solution = SolvePower(a, b, options);
    ASSERT_TRUE(solution.ok()) << solution.status();
    ASSERT_FALSE(solution->x_exponents.empty());
    const double error = oracle.ForwardError(*solution);
    EXPECT_LE(error, 8.0 * 65.0 * kUnitRoundoff * 1e6);
    EXPECT_NEAR(solution->report.forward_error[0], error, 0.1 * error);
  }
}

TEST(PowerEdgesTest, ColumnsOfVeryDifferentSize) {
  Matrix<double> a = MatrixOfCondition(12, 3, 10.0);
  for (Index i = 0; i < 12; ++i) {
    a(i, 0) *= 1e150;
    a(i, 2) *= 1e-150;
  }
  const Matrix<double> b = NormalMatrix(12, 1, Seed{5});
  const MpfrPowerOracle oracle = OracleOf(a, b, Odd(0), 1e300);
  const auto solution = SolvePower(a, b, Odd(0));
  ASSERT_TRUE(solution.ok()) << solution.status();
  EXPECT_EQ(solution->report.rank, 3);
  EXPECT_LE(oracle.ForwardError(*solution), 100.0 * kUnitRoundoff * 10.0);
  for (Index i = 0; i < 3; ++i) EXPECT_NE(solution->x(i, 0), 0.0);
}

class ExtendedOutputTest : public testing::TestWithParam<double> {};
INSTANTIATE_TEST_SUITE_P(Conditions, ExtendedOutputTest,
                         testing::Values(10.0, 1e4, 1e7, 1e10));

TEST_P(ExtendedOutputTest, HoldsAbout100Bits) {
  const Matrix<double> a = MatrixOfCondition(20, 5, GetParam());
  for (auto options : {Even(1), Even(2), Odd(0), Odd(1)}) {
    options.extended_output = true;
    const Matrix<double> b = NormalMatrix(
        options.family == PowerFamily::kGramPower ? 5 : 20, 1, Seed{5});
    const MpfrPowerOracle oracle = OracleOf(a, b, options, GetParam());
    const auto solution = SolvePower(a, b, options);
    ASSERT_TRUE(solution.ok()) << solution.status();
    ASSERT_FALSE(solution->x_low.empty());
    EXPECT_EQ(solution->report.termination, Termination::kConverged);
    // The residual of a level carries d^2 2^-104; kappa for generic b.
    EXPECT_LE(oracle.ForwardError(*solution),
              64.0 * 25.0 * 0x1p-104 * GetParam());
    EXPECT_LE(solution->report.forward_error[0],
              64.0 * 25.0 * 0x1p-104 * GetParam());
    EXPECT_LT(solution->report.residual_floor[0],
              0x1p-100 * std::pow(GetParam(), 4.0));
  }
}

TEST(PowerEdgesTest, RightSidesDoNotDisturbEachOther) {
  const Matrix<double> a = MatrixOfCondition(40, 6, 1e5);
  Matrix<double> b = NormalMatrix(40, 70, Seed{5});  // more than a slice
  for (Index i = 0; i < 40; ++i) b(i, 3) *= 1e200;
  const auto together = SolvePower(a, b, Odd(1));
  ASSERT_TRUE(together.ok()) << together.status();
  EXPECT_EQ(together->report.forward_error.size(), 70u);
  for (const Index c : {Index{0}, Index{3}, Index{69}}) {
    const MpfrPowerOracle oracle = OracleOf(a, Column(b, c), Odd(1), 1e5);
    const double error = oracle.ForwardError(*together, c);
    EXPECT_LE(error, 8.0 * 2.0 * kUnitRoundoff * 1e5);
    EXPECT_NEAR(together->report.forward_error[static_cast<std::size_t>(c)],
                error, 0.1 * error);
  }
}

TEST(PowerEdgesTest, SameBitsForAnyNumberOfWorkers) {
  const Matrix<double> a = MatrixOfCondition(3000, 20, 1e6);
  const Matrix<double> b = NormalMatrix(3000, 3, Seed{5});
  const Workers three(3);
  for (auto options : {Odd(0), Odd(2)}) {
    options.extended_output = options.exponent == 2;
    const auto alone = SolvePower(a, b, options);
    const auto shared = SolvePower(a, b, options, three);
    ASSERT_TRUE(alone.ok() && shared.ok());
    for (Index e = 0; e < alone->x.size(); ++e) {
      EXPECT_EQ(alone->x.data()[e], shared->x.data()[e]);
    }
    for (Index e = 0; e < alone->x_low.size(); ++e) {
      EXPECT_EQ(alone->x_low.data()[e], shared->x_low.data()[e]);
    }
    EXPECT_EQ(alone->report.forward_error, shared->report.forward_error);
    EXPECT_EQ(alone->report.relative_residual,
              shared->report.relative_residual);
  }
}

template <typename T>
class PowerStorageTest : public testing::Test {};
using StorageTypes = testing::Types<double, float, Half, BFloat16>;
TYPED_TEST_SUITE(PowerStorageTest, StorageTypes);

// Stored numbers are exact: the same as their float64 values.
TYPED_TEST(PowerStorageTest, StoredNumbersAreExact) {
  const auto a = Stored<TypeParam>(NormalMatrix(50, 6, Seed{1}));
  const auto b = Stored<TypeParam>(NormalMatrix(50, 2, Seed{2}));
  Matrix<double> wide_a(50, 6);
  Matrix<double> wide_b(50, 2);
  for (Index i = 0; i < 50; ++i) {
    for (Index j = 0; j < 6; ++j) wide_a(i, j) = a(i, j);
    for (Index j = 0; j < 2; ++j) wide_b(i, j) = b(i, j);
  }
  const auto stored =
      SolvePowerRegression(a.view(), b.view(), Odd(1), {OneWorker()});
  const auto wide = SolvePower(wide_a, wide_b, Odd(1));
  ASSERT_TRUE(stored.ok() && wide.ok());
  for (Index e = 0; e < wide->x.size(); ++e) {
    EXPECT_EQ(stored->x.data()[e], wide->x.data()[e]);
  }
}

TEST(PowerEdgesTest, TightToleranceEndsAtTheFloorWithTheRoundedAnswer) {
  const Matrix<double> a = MatrixOfCondition(20, 5, 1e3);
  const Matrix<double> b = NormalMatrix(5, 1, Seed{5});
  auto options = Even(2);
  options.tolerance = 1e-14;
  const auto solution = SolvePower(a, b, options);
  ASSERT_TRUE(solution.ok()) << solution.status();
  const SolveReport& report = solution->report;
  EXPECT_EQ(report.termination, Termination::kPrecisionFloor);
  EXPECT_FALSE(report.converged[0]);
  EXPECT_GT(report.relative_residual[0], 1e-14);
  // N2: the correctly rounded x stays below phi.
  EXPECT_LE(report.relative_residual[0], report.residual_floor[0]);
  const MpfrPowerOracle oracle = OracleOf(a, b, options, 1e3);
  EXPECT_LE(oracle.ForwardError(*solution), 2.0 * kUnitRoundoff);
  EXPECT_NEAR(report.forward_error[0], oracle.ForwardError(*solution),
              0.1 * oracle.ForwardError(*solution));
}

TEST(PowerEdgesTest, OneRefinementOnlyMeetsTheIterationLimit) {
  const Matrix<double> a = MatrixOfCondition(20, 5, 3e6);
  auto options = Even(2);
  options.method = PowerMethod::kGram;
  options.max_iterations = 1;
  options.tolerance = 1e-14;
  const auto solution = SolvePower(a, NormalMatrix(5, 1, Seed{5}), options);
  ASSERT_TRUE(solution.ok()) << solution.status();
  EXPECT_EQ(solution->report.termination, Termination::kIterationLimit);
}

// j kappa u >= 0.1: no digit whatever b.
TEST(PowerEdgesTest, BeyondTheFormatIsIllConditioned) {
  const Matrix<double> a = MatrixOfCondition(20, 4, 5e13);
  const auto solution = SolvePower(a, NormalMatrix(4, 1, Seed{5}), Even(32));
  ASSERT_TRUE(solution.ok()) << solution.status();
  ASSERT_EQ(solution->report.rank, 4);
  EXPECT_EQ(solution->report.termination, Termination::kIllConditioned);
}

TEST(PowerEdgesTest, MethodsAgree) {
  const Matrix<double> a = MatrixOfCondition(30, 5, 1e3);
  const Matrix<double> b = NormalMatrix(30, 1, Seed{5});
  const MpfrPowerOracle oracle = OracleOf(a, b, Odd(1), 1e3);
  for (const PowerMethod method :
       {PowerMethod::kGram, PowerMethod::kQr, PowerMethod::kSvd}) {
    auto options = Odd(1);
    options.method = method;
    const auto solution = SolvePower(a, b, options);
    ASSERT_TRUE(solution.ok()) << solution.status();
    EXPECT_LE(oracle.ForwardError(*solution), 16.0 * kUnitRoundoff * 1e3);
  }
}

TEST(PowerEdgesTest, NotFiniteNumbersAreNamed) {
  Matrix<double> a = MatrixOfCondition(10, 3, 10.0);
  Matrix<double> b = NormalMatrix(3, 1, Seed{5});
  b(1, 0) = std::numeric_limits<double>::quiet_NaN();
  const auto bad_b = SolvePower(a, b, Even(1));
  EXPECT_EQ(bad_b.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(DetailOf(bad_b.status())->field, "b");
  a(4, 2) = std::numeric_limits<double>::infinity();
  const auto bad_a = SolvePower(a, b, Even(1));
  EXPECT_EQ(DetailOf(bad_a.status())->field, "a");
}

TEST(PowerEdgesTest, CancelledAtAnyLookIsCancelled) {
  const Matrix<double> a = MatrixOfCondition(60, 5, 1e4);
  const Matrix<double> b = NormalMatrix(60, 1, Seed{5});
  StopSource whole;
  ASSERT_TRUE(SolvePowerRegression(a.view(), b.view(), Odd(2),
                                   {OneWorker(), whole.token()})
                  .ok());
  for (std::int64_t look = 1; look <= whole.token().looks(); ++look) {
    StopSource source;
    source.StopAtLook(look);
    const auto solution = SolvePowerRegression(a.view(), b.view(), Odd(2),
                                               {OneWorker(), source.token()});
    EXPECT_EQ(solution.status().code(), absl::StatusCode::kCancelled) << look;
  }
}

TEST(PowerEdgesTest, StopBeforeRIsAnAnswerNotAnError) {
  const Matrix<double> a = MatrixOfCondition(60, 5, 1e4);
  const Matrix<double> b = NormalMatrix(5, 2, Seed{5});
  for (const auto family :
       {PowerFamily::kGramPower, PowerFamily::kMatrixExponential}) {
    StopSource source;
    source.RequestStop(StopReason::kTimeLimit);
    const auto solution = SolvePowerRegression(
        a.view(), b.view(), {.family = family}, {OneWorker(), source.token()});
    ASSERT_TRUE(solution.ok()) << solution.status();
    EXPECT_EQ(solution->report.termination, Termination::kTimeLimit);
    EXPECT_EQ(solution->x.rows(), 5);
    EXPECT_EQ(solution->x(0, 0), 0.0);
    EXPECT_EQ(solution->report.relative_residual,
              std::vector<double>({1.0, 1.0}));
  }
}

TEST(PowerEdgesTest, ProgressNeverFallsAndEndsAtOne) {
  const Matrix<double> a = MatrixOfCondition(60, 5, 1e4);
  double last = 0.0;
  std::vector<std::string> phases;
  const ComputeContext context{
      OneWorker(), {}, [&](const ProgressUpdate& update) {
        EXPECT_GE(update.fraction.value_or(-1.0), last);
        last = update.fraction.value_or(-1.0);
        if (phases.empty() || phases.back() != update.phase) {
          phases.emplace_back(update.phase);
        }
      }};
  const Matrix<double> b = NormalMatrix(5, 1, Seed{5});
  ASSERT_TRUE(SolvePowerRegression(a.view(), b.view(), Even(2), context).ok());
  EXPECT_EQ(last, 1.0);
  EXPECT_EQ(phases,
            (std::vector<std::string>{"scan", "factor", "iterate", "verify"}));
}

TEST(PowerEdgesTest, CostGrowsWithEverySize) {
  const Cost base = CostOfPowerRegression({1000, 50, 2}, Even(2), 2);
  EXPECT_GE(base.flops, 1000.0 * 50.0 * 50.0);
  EXPECT_GE(base.bytes, 8.0 * 50.0 * 50.0);
  for (const Cost& more : {CostOfPowerRegression({2000, 50, 2}, Even(2), 2),
                           CostOfPowerRegression({1000, 60, 2}, Even(2), 2),
                           CostOfPowerRegression({1000, 50, 20}, Even(2), 2),
                           CostOfPowerRegression({1000, 50, 2}, Even(3), 2)}) {
    EXPECT_GT(more.flops, base.flops);
    EXPECT_GE(more.bytes, base.bytes);
  }
}

}  // namespace
}  // namespace steelyard::test
