#include "steelyard/prepared_matrix.h"

#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "power/power_factor.h"
#include "steelyard/status.h"
#include "tests/core/power/power_problems.h"
#include "tests/support/allocation_peak.h"
#include "tests/support/backward_error_oracle.h"
#include "tests/support/bounds.h"

namespace steelyard::test {
namespace {

constexpr Index kRows = 300;
constexpr Index kCols = 20;

// Of `all`: columns [first, first + count).
Matrix<double> Part(const Matrix<double>& all, Index first, Index count) {
  Matrix<double> part(all.rows(), count);
  for (Index i = 0; i < all.rows(); ++i) {
    for (Index c = 0; c < count; ++c) part(i, c) = all(i, first + c);
  }
  return part;
}

bool SameBits(double a, double b) {
  return std::memcmp(&a, &b, sizeof(a)) == 0;
}

// Entry (i, c) as mantissa and exponent: one column that does not fit float64
// gives all columns of its caller exponents.
std::pair<double, int> Entry(const Solution& solution, Index i, Index c) {
  int exponent = 0;
  const double mantissa = std::frexp(solution.x(i, c), &exponent);
  if (!solution.x_exponents.empty()) {
    const Index at = i * solution.x.cols() + c;
    exponent += solution.x_exponents[static_cast<std::size_t>(at)];
  }
  return {mantissa, mantissa == 0.0 ? 0 : exponent};
}

// Column `c` of `many` against column 0 of `one`: x and all that is reported.
void ExpectColumnIs(const Solution& one, const Solution& many, Index c) {
  const auto at = static_cast<std::size_t>(c);
  ASSERT_EQ(one.x_low.empty(), many.x_low.empty());
  for (Index i = 0; i < one.x.rows(); ++i) {
    ASSERT_EQ(Entry(one, i, 0), Entry(many, i, c)) << i << ", " << c;
    if (!one.x_low.empty()) {
      ASSERT_TRUE(SameBits(one.x_low(i, 0), many.x_low(i, c))) << i;
    }
  }
  const auto expect_same = [&](const std::vector<double>& a,
                               const std::vector<double>& b) {
    ASSERT_EQ(a.empty(), b.empty());
    if (a.empty()) return;
    EXPECT_TRUE(SameBits(a[0], b[at])) << a[0] << " " << b[at];
  };
  const SolveReport& a = one.report;
  const SolveReport& b = many.report;
  expect_same(a.relative_residual, b.relative_residual);
  expect_same(a.excess_residual, b.excess_residual);
  expect_same(a.residual_floor, b.residual_floor);
  expect_same(a.backward_error, b.backward_error);
  expect_same(a.optimality, b.optimality);
  expect_same(a.forward_error, b.forward_error);
  expect_same(a.least_squares_backward_error, b.least_squares_backward_error);
  EXPECT_EQ(a.converged[0], b.converged[at]);
}

struct Case {
  std::string name;
  PowerRegressionOptions options;
  double condition = 100.0;
  bool deficient = false;
};

Matrix<double> MatrixOf(const Case& problem) {
  Matrix<double> a = MatrixOfCondition(kRows, kCols, problem.condition);
  if (problem.deficient) {
    for (Index i = 0; i < kRows; ++i) a(i, 3) = a(i, 7);
  }
  return a;
}

// Right-hand sides that do not all take the same number of refinements: normal
// ones, one of zeros, one along an axis, one of another size.
Matrix<double> RightSides(const Case& problem, Index k) {
  const bool odd = problem.options.family == PowerFamily::kLeftGramPower;
  Matrix<double> b = NormalMatrix(odd ? kRows : kCols, k, Seed{4});
  for (Index i = 0; i < b.rows(); ++i) {
    if (k > 2) b(i, 2) = 0.0;
    if (k > 5) b(i, 5) = i == 0 ? 1.0 : 0.0;
    if (k > 6) b(i, 6) *= 0x1p-300;
  }
  return b;
}

class SameBitsTest : public testing::TestWithParam<Case> {};

TEST_P(SameBitsTest, AtAnyPlaceBesideAnybodyAndAlone) {
  constexpr Index kMany = 61;  // more than one slice
  const Case problem = GetParam();
  const Matrix<double> a = MatrixOf(problem);
  const Matrix<double> b = RightSides(problem, kMany);
  const Workers three(3);
  const auto prepared = PrepareMatrix(a.view(), problem.options, {OneWorker()});
  ASSERT_TRUE(prepared.ok()) << prepared.status();
  ASSERT_TRUE(prepared->Serves(problem.options));

  // All columns as one caller, in three callers, on three workers.
  const std::vector<AnyMatrixView> whole = {b.view()};
  const auto all =
      SolveTogether(*prepared, a.view(), whole, problem.options, {OneWorker()});
  ASSERT_EQ(all.size(), 1U);
  ASSERT_TRUE(all[0].ok()) << all[0].status();
  const Index cuts[] = {0, 5, 42, kMany};
  std::vector<Matrix<double>> parts;
  for (int i = 0; i < 3; ++i) {
    parts.push_back(Part(b, cuts[i], cuts[i + 1] - cuts[i]));
  }
  const std::vector<AnyMatrixView> views = {parts[0].view(), parts[1].view(),
                                            parts[2].view()};
  const auto some =
      SolveTogether(*prepared, a.view(), views, problem.options, {three});
  ASSERT_EQ(some.size(), 3U);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(some[static_cast<std::size_t>(i)].ok());
  }

  for (const Index c : {0, 1, 2, 4, 5, 6, 23, 47, 48, 60}) {
    SCOPED_TRACE(c);
    const Matrix<double> column = Column(b, c);
    const std::vector<AnyMatrixView> one = {column.view()};
    const auto alone =
        SolveTogether(*prepared, a.view(), one, problem.options, {three});
    ASSERT_TRUE(alone[0].ok()) << alone[0].status();
    ExpectColumnIs(*alone[0], *all[0], c);
    const int caller = c < 5 ? 0 : c < 42 ? 1 : 2;
    ExpectColumnIs(*alone[0], *some[static_cast<std::size_t>(caller)],
                   c - cuts[caller]);
  }
}

// Power regressions of one call stop at the Gram, so their bits are others.
TEST_P(SameBitsTest, WithoutPreparingWhereTheFactorIsTheSame) {
  const Case problem = GetParam();
  const Matrix<double> a = MatrixOf(problem);
  const Matrix<double> b = RightSides(problem, 8);
  const auto prepared = PrepareMatrix(a.view(), problem.options, {OneWorker()});
  ASSERT_TRUE(prepared.ok()) << prepared.status();
  const std::vector<AnyMatrixView> views = {b.view()};
  const auto together =
      SolveTogether(*prepared, a.view(), views, problem.options, {OneWorker()});
  const auto unprepared = SolvePower(a, b, problem.options);
  ASSERT_TRUE(together[0].ok() && unprepared.ok());
  const bool same = prepared->factor().factor.method != FactorMethod::kRepaired;
  for (Index c = 0; c < b.cols(); ++c) {
    const auto alone = SolvePower(a, Column(b, c), problem.options);
    ExpectColumnIs(*alone, *unprepared, c);
    if (same) ExpectColumnIs(*alone, *together[0], c);
  }
  EXPECT_EQ(together[0]->report.method == unprepared->report.method, same);
}

PowerRegressionOptions Of(PowerFamily family, int exponent) {
  return {.family = family, .exponent = exponent};
}

std::vector<Case> Cases() {
  PowerRegressionOptions ridge = Of(PowerFamily::kGramPower, 2);
  ridge.ridge = 0.5;
  PowerRegressionOptions odd_ridge = Of(PowerFamily::kLeftGramPower, 1);
  odd_ridge.ridge = 1e-3;
  PowerRegressionOptions extended = Of(PowerFamily::kGramPower, 2);
  extended.extended_output = true;
  PowerRegressionOptions odd_extended = Of(PowerFamily::kLeftGramPower, 0);
  odd_extended.extended_output = true;
  return {
      {"Even1", Of(PowerFamily::kGramPower, 1)},
      {"Even3", Of(PowerFamily::kGramPower, 3), 1e5},
      {"Even40", Of(PowerFamily::kGramPower, 40), 1e8},
      {"Odd0", Of(PowerFamily::kLeftGramPower, 0), 1e6},
      {"Odd2", Of(PowerFamily::kLeftGramPower, 2), 1e10},
      {"Exponential", Of(PowerFamily::kMatrixExponential, 1)},
      {"Ridge", ridge},
      {"OddRidge", odd_ridge, 1e4},
      {"Deficient", Of(PowerFamily::kGramPower, 2), 10.0, true},
      {"OddDeficient", Of(PowerFamily::kLeftGramPower, 1), 10.0, true},
      {"Extended", extended, 1e4},
      {"OddExtended", odd_extended, 1e7},
  };
}

INSTANTIATE_TEST_SUITE_P(Problems, SameBitsTest, testing::ValuesIn(Cases()),
                         [](const auto& problem) {
                           return problem.param.name;
                         });

TEST(SolveTogetherTest, ANanOfOneCallerIsItsOwn) {
  const auto options = Of(PowerFamily::kGramPower, 2);
  const Matrix<double> a = MatrixOfCondition(60, 6, 10.0);
  const Matrix<double> good = NormalMatrix(6, 2, Seed{1});
  Matrix<double> bad = good;
  bad(4, 1) = std::numeric_limits<double>::quiet_NaN();
  const auto prepared = PrepareMatrix(a.view(), options, {OneWorker()});
  ASSERT_TRUE(prepared.ok());
  const std::vector<AnyMatrixView> bs = {good.view(), bad.view(), good.view()};

  const auto answers =
      SolveTogether(*prepared, a.view(), bs, options, {OneWorker()});

  ASSERT_EQ(answers.size(), 3U);
  ASSERT_TRUE(answers[0].ok() && answers[2].ok());
  EXPECT_EQ(answers[1].status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(answers[1].status().message()),
              testing::HasSubstr("b[4,1]"));
  const std::vector<AnyMatrixView> alone = {good.view()};
  const auto same =
      SolveTogether(*prepared, a.view(), alone, options, {OneWorker()});
  for (Index i = 0; i < same[0]->x.size(); ++i) {
    EXPECT_EQ(same[0]->x.data()[i], answers[2]->x.data()[i]);
  }
  ExpectColumnIs(*same[0], *answers[0], 0);
}

// One read of A for all columns; residuals are told where nothing is left of b
// but rounding, and the backward error is bounded by its definition.
TEST(SolveTogetherTest, LeastSquaresWithoutLevels) {
  const auto options = Of(PowerFamily::kLeftGramPower, 0);
  const Matrix<double> a = MatrixOfCondition(120, 12, 30.0);
  Matrix<double> b = NormalMatrix(120, 4, Seed{4});
  for (Index i = 0; i < 120; ++i) {
    double sum = 0.0;
    for (Index c = 0; c < 12; ++c) sum += a(i, c);
    b(i, 1) = sum;  // in the range of A
    b(i, 2) = sum + 1e-3 * b(i, 2);
    b(i, 3) = 0.0;
  }
  const auto prepared = PrepareMatrix(a.view(), options, {OneWorker()});
  ASSERT_TRUE(prepared.ok());
  const std::vector<AnyMatrixView> bs = {b.view()};

  const auto solved =
      SolveTogether(*prepared, a.view(), bs, options, {OneWorker()});

  ASSERT_TRUE(solved[0].ok()) << solved[0].status();
  const Solution& solution = *solved[0];
  const SolveReport& report = solution.report;
  EXPECT_THAT(report.method, testing::HasSubstr("75 bits"));
  EXPECT_THAT(report.method, testing::Not(testing::HasSubstr("columns by")));
  for (const Index c : {0, 1, 2}) {
    SCOPED_TRACE(c);
    const auto at = static_cast<std::size_t>(c);
    const Matrix<double> column = Column(b, c);
    const MpfrPowerOracle oracle = OracleOf(a, column, options, 30.0);
    const double error = oracle.ForwardError(solution, c);
    // Rounded to float64.
    EXPECT_LE(error, kUnitRoundoff);
    EXPECT_NEAR(report.forward_error[at], error, 0.1 * error);
    // Read again in float64: to within the floor of some numbers a row.
    const double residual = oracle.RelativeResidual(solution, c);
    EXPECT_NEAR(report.relative_residual[at], residual,
                1e-4 * residual + 12.0 * report.residual_floor[at]);
    std::vector<double> x;
    for (Index i = 0; i < 12; ++i) x.push_back(solution.x(i, c));
    const double least = LeastSquaresBackwardError(a, column, x);
    const double told = report.least_squares_backward_error[at];
    EXPECT_GE(told, 0.99 * least);
    // Of the second column r is known to within its own size only.
    if (c != 1) {
      EXPECT_LE(told, 1.7 * least);
    }
  }
  EXPECT_EQ(solution.x(0, 3), 0.0);
  EXPECT_TRUE(report.converged[3]);
}

TEST(SolveTogetherTest, StopsForEveryCaller) {
  const Matrix<double> a = MatrixOfCondition(kRows, kCols, 10.0);
  const Matrix<double> b = NormalMatrix(kRows, 3, Seed{1});
  const auto options = Of(PowerFamily::kLeftGramPower, 1);
  const auto prepared = PrepareMatrix(a.view(), options, {OneWorker()});
  ASSERT_TRUE(prepared.ok());
  const std::vector<AnyMatrixView> bs = {b.view(), b.view()};
  for (const StopReason why : {StopReason::kCancelled, StopReason::kDeadline,
                               StopReason::kTimeLimit, StopReason::kDraining}) {
    StopSource source;
    source.RequestStop(why);
    const auto answers = SolveTogether(*prepared, a.view(), bs, options,
                                       {OneWorker(), source.token()});
    ASSERT_EQ(answers.size(), 2U);
    for (const auto& answer : answers) {
      if (why == StopReason::kCancelled) {
        EXPECT_EQ(answer.status().code(), absl::StatusCode::kCancelled);
      } else if (why == StopReason::kDeadline) {
        EXPECT_EQ(answer.status().code(), absl::StatusCode::kDeadlineExceeded);
      } else {
        ASSERT_TRUE(answer.ok()) << answer.status();
        EXPECT_EQ(answer->report.termination, why == StopReason::kTimeLimit
                                                  ? Termination::kTimeLimit
                                                  : Termination::kStopped);
        EXPECT_EQ(answer->x.cols(), 3);
      }
    }
  }
}

TEST(SolveTogetherTest, AnyLookMayBeTheLast) {
  const Matrix<double> a = MatrixOfCondition(kRows, kCols, 10.0);
  const auto options = Of(PowerFamily::kLeftGramPower, 1);
  const Matrix<double> b = NormalMatrix(kRows, 70, Seed{1});
  const auto prepared = PrepareMatrix(a.view(), options, {OneWorker()});
  ASSERT_TRUE(prepared.ok());
  const std::vector<AnyMatrixView> bs = {b.view()};
  int stopped = 0;
  for (std::int64_t look = 1; look < 400; look += 13) {
    StopSource source;
    source.StopAtLook(look);
    const auto answers = SolveTogether(*prepared, a.view(), bs, options,
                                       {OneWorker(), source.token()});
    if (answers[0].ok()) break;
    EXPECT_EQ(answers[0].status().code(), absl::StatusCode::kCancelled);
    ++stopped;
  }
  EXPECT_GE(stopped, 3);
}

TEST(PrepareMatrixTest, NamesTheNanOfTheMatrixAndStops) {
  Matrix<double> a = MatrixOfCondition(60, 6, 10.0);
  const auto options = Of(PowerFamily::kGramPower, 2);
  StopSource source;
  source.RequestStop(StopReason::kTimeLimit);
  EXPECT_EQ(PrepareMatrix(a.view(), options, {OneWorker(), source.token()})
                .status()
                .code(),
            absl::StatusCode::kAborted);
  a(7, 1) = std::numeric_limits<double>::infinity();
  const auto prepared = PrepareMatrix(a.view(), options, {OneWorker()});
  EXPECT_EQ(prepared.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(prepared.status().message()),
              testing::HasSubstr("a[7,1]"));
}

TEST(PrepareMatrixTest, ServesWhatItWasMadeFor) {
  const Matrix<double> a = MatrixOfCondition(60, 6, 10.0);
  const auto even = Of(PowerFamily::kGramPower, 2);
  const auto prepared = PrepareMatrix(a.view(), even, {OneWorker()});
  ASSERT_TRUE(prepared.ok());
  const auto odd = Of(PowerFamily::kLeftGramPower, 1);
  const auto for_odd = PrepareMatrix(a.view(), odd, {OneWorker()});
  ASSERT_TRUE(for_odd.ok());
  EXPECT_TRUE(for_odd->Serves(Of(PowerFamily::kLeftGramPower, 0)));
  EXPECT_TRUE(for_odd->Serves(even));
  EXPECT_TRUE(prepared->Serves(Of(PowerFamily::kGramPower, 7)));
  EXPECT_TRUE(prepared->Serves(Of(PowerFamily::kLeftGramPower, 0)));
  EXPECT_FALSE(prepared->Serves(Of(PowerFamily::kMatrixExponential, 1)));
  auto other = even;
  other.ridge = 1.0;
  EXPECT_FALSE(prepared->Serves(other));
  other = even;
  other.method = PowerMethod::kQr;
  EXPECT_FALSE(prepared->Serves(other));
  other = even;
  other.seed = Seed{99};  // no sketch was drawn
  EXPECT_TRUE(prepared->Serves(other));
  other.method = PowerMethod::kSketchPublished;
  EXPECT_FALSE(CanPrepare(other));
  EXPECT_FALSE(prepared->Serves(other));
}

class PreparedCostTest : public testing::TestWithParam<Case> {};

TEST_P(PreparedCostTest, CoversTheMemory) {
  const Case problem = GetParam();
  const Matrix<double> a = MatrixOf(problem);
  for (const Index k : {1, 61}) {
    for (const int workers : {1, 3}) {
      const Workers team(workers);
      const Matrix<double> b = RightSides(problem, k);
      const std::vector<AnyMatrixView> bs = {b.view()};
      const PowerShape shape{.n = kRows, .d = kCols, .k = k};
      const AllocationPeak preparing;
      const auto prepared = PrepareMatrix(a.view(), problem.options, {team});
      ASSERT_TRUE(prepared.ok());
      const double cost =
          CostOfPreparing(shape, problem.options, workers).bytes;
      EXPECT_LE(static_cast<double>(preparing.bytes()), cost);
      EXPECT_GE(prepared->bytes(), 8 * kCols * kCols);
      EXPECT_LE(static_cast<double>(prepared->bytes()), cost);
      const AllocationPeak solving;
      const auto solved =
          SolveTogether(*prepared, a.view(), bs, problem.options, {team});
      ASSERT_TRUE(solved[0].ok());
      EXPECT_LE(static_cast<double>(solving.bytes()),
                CostOfSolvingTogether(shape, problem.options, workers).bytes);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Problems, PreparedCostTest, testing::ValuesIn(Cases()),
                         [](const auto& problem) {
                           return problem.param.name;
                         });

}  // namespace
}  // namespace steelyard::test
