// Power regressions on sparse matrices: the answers of the dense road, on
// matrices that no dense road has tested.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "linalg/double_double.h"
#include "steelyard/status.h"
#include "tests/core/power/power_problems.h"
#include "tests/core/sparse/sparse_matrix.h"
#include "tests/support/allocation_peak.h"
#include "tests/support/bounds.h"

namespace steelyard::test {
namespace {

PowerRegressionOptions Family(PowerFamily family, int j) {
  return {.family = family, .exponent = j};
}
PowerRegressionOptions Even(int j) {
  return Family(PowerFamily::kGramPower, j);
}
PowerRegressionOptions Odd(int j) {
  return Family(PowerFamily::kLeftGramPower, j);
}
PowerRegressionOptions Exponential() {
  return Family(PowerFamily::kMatrixExponential, 1);
}

template <KeyScalar T>
absl::StatusOr<Solution> SolveSparse(const SparseMatrix<T>& a,
                                     const Matrix<double>& b,
                                     const PowerRegressionOptions& options,
                                     int workers = 2, StopToken stop = {}) {
  const Workers pool(workers);
  return SolvePowerRegression(AnyCsrView(a.view()), b.view(), options,
                              {pool, stop});
}

Index LengthOf(const Matrix<double>& a, const PowerRegressionOptions& options) {
  return options.family == PowerFamily::kLeftGramPower ? a.rows() : a.cols();
}

// |x - y| / |x| of column c.
double Distance(const Solution& x, const Solution& y, Index c = 0) {
  double square = 0.0;
  double size = 0.0;
  for (Index i = 0; i < x.x.rows(); ++i) {
    square += std::pow(x.x(i, c) - y.x(i, c), 2);
    size += std::pow(x.x(i, c), 2);
  }
  return size == 0.0 ? std::sqrt(square) : std::sqrt(square / size);
}

class SparsePowerTest
    : public testing::TestWithParam<std::tuple<PowerFamily, int, double>> {
 protected:
  static constexpr Index kRows = 40;
  static constexpr Index kCols = 6;

  PowerRegressionOptions options() const {
    return Family(std::get<0>(GetParam()), std::get<1>(GetParam()));
  }
  double condition() const { return std::get<2>(GetParam()); }
};

TEST_P(SparsePowerTest, AgreesWithMpfrAndReportsItsError) {
  const auto sparse = SparseOf<double>(
      SparseNumbers(kRows, kCols, 0.25, condition(), Seed{1}), true);
  const Matrix<double> a = sparse.Dense();
  const Matrix<double> b = NormalMatrix(LengthOf(a, options()), 1, Seed{5});
  // Pairs of columns, each of condition about 2 / delta.
  const double kappa = 100.0 * condition();
  const MpfrPowerOracle oracle = OracleOf(a, b, options(), kappa);
  const auto solution = SolveSparse(sparse, b, options());
  ASSERT_TRUE(solution.ok()) << solution.status();
  const SolveReport& report = solution->report;
  const double error = oracle.ForwardError(*solution);
  EXPECT_EQ(report.termination, Termination::kConverged);
  EXPECT_LE(error, 8.0 * (options().exponent + 1.0) * kUnitRoundoff * kappa);
  EXPECT_NEAR(report.forward_error[0], error, 0.1 * error) << report.method;
  EXPECT_NEAR(report.relative_residual[0], oracle.RelativeResidual(*solution),
              0.01 * oracle.RelativeResidual(*solution));
  if (options().family == PowerFamily::kLeftGramPower) {
    EXPECT_NEAR(report.excess_residual[0], oracle.ExcessResidual(*solution),
                0.1 * oracle.ExcessResidual(*solution));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Families, SparsePowerTest,
    testing::Combine(testing::Values(PowerFamily::kGramPower,
                                     PowerFamily::kLeftGramPower),
                     testing::Values(1, 2, 3),
                     testing::Values(1.0, 1e3, 1e6, 1e9, 1e11)));

INSTANTIATE_TEST_SUITE_P(
    LeastSquares, SparsePowerTest,
    testing::Combine(testing::Values(PowerFamily::kLeftGramPower),
                     testing::Values(0),
                     testing::Values(1.0, 1e3, 1e6, 1e9, 1e11)));

// R0 of a sketch and iteration with A; what it reports is as true.
TEST(SparseSketchTest, AgreesWithMpfrInBothFamilies) {
  for (const double cond : {1.0, 1e4, 1e8}) {
    const auto sparse =
        SparseOf<double>(SparseNumbers(400, 8, 0.2, cond, Seed{21}));
    const Matrix<double> a = sparse.Dense();
    for (const double ridge : {0.0, 1e-3}) {
      for (auto options : {Even(1), Even(2), Odd(0), Odd(1)}) {
        options.method = PowerMethod::kSketch;
        options.ridge = ridge;
        const Matrix<double> b = NormalMatrix(LengthOf(a, options), 1, {5});
        const double kappa = 100.0 * cond;
        const MpfrPowerOracle oracle = OracleOf(a, b, options, kappa);
        const auto solution = SolveSparse(sparse, b, options);
        ASSERT_TRUE(solution.ok()) << solution.status();
        const double error = oracle.ForwardError(*solution);
        EXPECT_EQ(solution->report.termination, Termination::kConverged)
            << solution->report.method;
        EXPECT_NE(solution->report.method.find("sketch"), std::string::npos);
        EXPECT_LE(error,
                  8.0 * (options.exponent + 1.0) * kUnitRoundoff * kappa);
        EXPECT_NEAR(solution->report.forward_error[0], error, 0.1 * error)
            << solution->report.method;
      }
    }
  }
}

TEST(SparseSketchTest, SameBitsForAnyNumberOfWorkersAndForTheSameSeed) {
  const auto sparse =
      SparseOf<float>(SparseNumbers(6000, 40, 0.05, 1e6, Seed{22}));
  for (auto options : {Even(2), Odd(1)}) {
    options.method = PowerMethod::kSketch;
    const Matrix<double> b = NormalMatrix(
        options.family == PowerFamily::kLeftGramPower ? 6000 : 40, 2, {23});
    const auto one = SolveSparse(sparse, b, options, 1);
    const auto four = SolveSparse(sparse, b, options, 4);
    ASSERT_TRUE(one.ok() && four.ok()) << one.status();
    for (Index e = 0; e < one->x.size(); ++e) {
      EXPECT_EQ(one->x.data()[e], four->x.data()[e]);
    }
  }
}

TEST(SparseSketchTest, ARankBelowDIsLeftToTheLadder) {
  Matrix<double> numbers = SparseNumbers(400, 8, 0.2, 10.0, Seed{24});
  for (Index i = 0; i < 400; ++i) numbers(i, 5) = numbers(i, 0);
  const auto sparse = SparseOf<double>(numbers);
  auto options = Odd(0);
  options.method = PowerMethod::kSketch;
  const Matrix<double> b = NormalMatrix(400, 1, Seed{25});
  const auto ours = SolveSparse(sparse, b, options);
  const auto theirs = SolvePower(numbers, b, Odd(0));
  ASSERT_TRUE(ours.ok()) << ours.status();
  ASSERT_TRUE(theirs.ok());
  EXPECT_EQ(ours->report.rank, 7);
  EXPECT_LE(Distance(*ours, *theirs), 2.0 * (ours->report.forward_error[0] +
                                             theirs->report.forward_error[0]) +
                                          Gamma(8));
}

TEST(SparseExponentialTest, AgreesWithMpfr) {
  for (const double cond : {1.0, 1e4, 1e9}) {
    Matrix<double> numbers = SparseNumbers(60, 6, 0.25, cond, Seed{2});
    for (Index e = 0; e < numbers.size(); ++e) numbers.data()[e] *= 0.5;
    const auto sparse = SparseOf<double>(numbers);
    const Matrix<double> b = NormalMatrix(6, 1, Seed{5});
    const MpfrPowerOracle oracle = OracleOf(numbers, b, Exponential(), cond);
    const auto solution = SolveSparse(sparse, b, Exponential());
    ASSERT_TRUE(solution.ok()) << solution.status();
    const double error = oracle.ForwardError(*solution);
    // 2 u s_1 s_d and the roundings of 6 terms: s_1 s_d <= |A|^2.
    EXPECT_LE(error, Gamma(6 * 64));
    EXPECT_LE(error, 10.0 * solution->report.forward_error[0] + Gamma(6));
  }
}

TEST(SparseRidgeTest, AgreesWithMpfr) {
  Matrix<double> numbers = SparseNumbers(40, 6, 0.25, 1e10, Seed{3});
  for (Index i = 0; i < 40; ++i) numbers(i, 4) = 0.0;
  for (auto options : {Even(1), Even(2), Odd(0), Odd(1)}) {
    options.ridge = 1e-6;
    const Matrix<double> b = NormalMatrix(LengthOf(numbers, options), 1, {6});
    const MpfrPowerOracle oracle = OracleOf(numbers, b, options, 1e5);
    const auto solution = SolveSparse(SparseOf<double>(numbers), b, options);
    ASSERT_TRUE(solution.ok()) << solution.status();
    EXPECT_EQ(solution->report.termination, Termination::kConverged);
    const double error = oracle.ForwardError(*solution);
    EXPECT_LE(error, 8.0 * (options.exponent + 1.0) * kUnitRoundoff * 1e5);
    EXPECT_NEAR(solution->report.forward_error[0], error, 0.1 * error);
  }
}

TEST(SparseExtendedTest, HoldsTwiceTheDigits) {
  for (const double cond : {1e3, 1e9}) {
    const auto sparse =
        SparseOf<double>(SparseNumbers(40, 6, 0.25, cond, Seed{4}));
    const Matrix<double> a = sparse.Dense();
    for (auto options : {Even(2), Odd(1)}) {
      options.extended_output = true;
      const Matrix<double> b = NormalMatrix(LengthOf(a, options), 1, {7});
      const MpfrPowerOracle oracle = OracleOf(a, b, options, 100.0 * cond);
      const auto solution = SolveSparse(sparse, b, options);
      ASSERT_TRUE(solution.ok()) << solution.status();
      const double error = oracle.ForwardError(*solution);
      EXPECT_LE(error, 100.0 * 0x1p-106 * 100.0 * cond);
    }
  }
}

// Families, storage types and shapes against the dense road.
template <typename T>
class SparseShapesTest : public testing::Test {};
using Storages = testing::Types<double, float, Half, BFloat16>;
TYPED_TEST_SUITE(SparseShapesTest, Storages);

TYPED_TEST(SparseShapesTest, EqualsTheDenseAnswer) {
  struct Shape {
    Index n;
    Index d;
    double density;
  };
  for (const Shape shape :
       {Shape{1, 1, 1.0}, Shape{1, 5, 0.8}, Shape{4, 9, 0.5}, Shape{50, 4, 0.3},
        Shape{300, 20, 0.05}}) {
    Matrix<double> numbers =
        SparseNumbers(shape.n, shape.d, shape.density, 10.0, Seed{8});
    // Duplicate rows, rows and a column without entries.
    for (Index j = 0; j < shape.d; ++j) {
      for (Index i = 2; i < shape.n; i += 9) {
        numbers(i, j) = i % 2 == 0 ? numbers(0, j) : 0.0;
      }
    }
    for (Index i = 0; shape.d > 3 && i < shape.n; ++i) numbers(i, 2) = 0.0;
    const auto sparse = SparseOf<TypeParam>(numbers, true);
    const Matrix<double> dense = sparse.Dense();
    for (const auto& options : {Even(1), Even(2), Odd(0), Odd(2)}) {
      const Matrix<double> b =
          NormalMatrix(LengthOf(dense, options), 2, Seed{9});
      const auto ours = SolveSparse(sparse, b, options);
      const auto theirs = SolvePower(dense, b, options);
      ASSERT_TRUE(ours.ok()) << ours.status();
      ASSERT_TRUE(theirs.ok()) << theirs.status();
      EXPECT_EQ(ours->report.rank, theirs->report.rank) << ours->report.method;
      EXPECT_EQ(ours->report.termination, theirs->report.termination);
      for (Index c = 0; c < 2; ++c) {
        const auto at = static_cast<std::size_t>(c);
        EXPECT_LE(Distance(*ours, *theirs, c),
                  2.0 * (ours->report.forward_error[at] +
                         theirs->report.forward_error[at]) +
                      Gamma(8))
            << shape.n << " x " << shape.d << ": " << ours->report.method;
      }
    }
  }
}

TEST(SparseEdgesTest, AMatrixWithoutEntriesHasRankZeroAndTheAnswerZero) {
  SparseMatrix<double> empty;
  empty.rows = 5;
  empty.cols = 3;
  empty.offsets.assign(6, 0);
  for (const auto& options : {Even(1), Odd(0), Odd(1)}) {
    const Matrix<double> b =
        NormalMatrix(options.family == PowerFamily::kGramPower ? 3 : 5, 1, {1});
    const auto solution = SolveSparse(empty, b, options);
    const auto dense = SolvePower(empty.Dense(), b, options);
    ASSERT_TRUE(solution.ok()) << solution.status();
    ASSERT_TRUE(dense.ok());
    EXPECT_EQ(solution->report.rank, 0);
    EXPECT_EQ(solution->report.termination, dense->report.termination);
    for (Index i = 0; i < 3; ++i) EXPECT_EQ(solution->x(i, 0), 0.0);
  }
  // e^0 x = b.
  const Matrix<double> b = NormalMatrix(3, 1, {1});
  const auto solution = SolveSparse(empty, b, Exponential());
  ASSERT_TRUE(solution.ok()) << solution.status();
  for (Index i = 0; i < 3; ++i) {
    EXPECT_NEAR(solution->x(i, 0), b(i, 0), Gamma(16) * std::abs(b(i, 0)));
  }
}

// Every column has a size of its own, 400 orders of magnitude apart.
TEST(SparseEdgesTest, ColumnsOfAnySize) {
  Matrix<double> numbers = SparseNumbers(60, 6, 0.3, 1e4, Seed{11});
  const int exponents[] = {-660, -300, 0, 10, 400, 650};
  for (Index i = 0; i < 60; ++i) {
    for (Index j = 0; j < 6; ++j) {
      numbers(i, j) = std::ldexp(numbers(i, j), exponents[j]);
    }
  }
  const Matrix<double> b = NormalMatrix(60, 1, Seed{12});
  const auto sparse = SolveSparse(SparseOf<double>(numbers), b, Odd(0));
  const auto dense = SolvePower(numbers, b, Odd(0));
  ASSERT_TRUE(sparse.ok()) << sparse.status();
  ASSERT_TRUE(dense.ok());
  EXPECT_EQ(sparse->report.rank, 6);
  EXPECT_EQ(sparse->report.termination, Termination::kConverged);
  for (Index i = 0; i < 6; ++i) {
    const double x =
        sparse->x_exponents.empty()
            ? sparse->x(i, 0)
            : std::ldexp(sparse->x(i, 0),
                         sparse->x_exponents[static_cast<std::size_t>(i)]);
    const double y =
        dense->x_exponents.empty()
            ? dense->x(i, 0)
            : std::ldexp(dense->x(i, 0),
                         dense->x_exponents[static_cast<std::size_t>(i)]);
    EXPECT_NEAR(x, y, 100.0 * kUnitRoundoff * 1e6 * std::abs(y));
  }
}

TEST(SparseEdgesTest, NamesTheBadNumber) {
  auto sparse = SparseOf<float>(SparseNumbers(60, 6, 0.3, 1.0, Seed{11}));
  sparse.values[7] = std::numeric_limits<float>::infinity();
  const auto solution = SolveSparse(sparse, NormalMatrix(6, 1, {1}), Even(1));
  const auto detail = DetailOf(solution.status());
  ASSERT_TRUE(detail.has_value());
  EXPECT_EQ(detail->reason, "NOT_FINITE");
  EXPECT_EQ(detail->field, "a.values");
  EXPECT_EQ(detail->metadata.at("index"), "7");
}

TEST(SparseBitsTest, SameForAnyNumberOfWorkers) {
  const auto sparse =
      SparseOf<float>(SparseNumbers(6000, 70, 0.03, 1e9, Seed{13}));
  for (auto options : {Even(2), Odd(0), Odd(1), Exponential()}) {
    const Index length = options.family == PowerFamily::kLeftGramPower
                             ? sparse.rows
                             : sparse.cols;
    const Matrix<double> b = NormalMatrix(length, 3, Seed{14});
    for (const auto method :
         {std::optional<PowerMethod>(), std::optional(PowerMethod::kGram)}) {
      options.method = method;
      const auto one = SolveSparse(sparse, b, options, 1);
      ASSERT_TRUE(one.ok()) << one.status();
      for (const int workers : {2, 3, 4}) {
        const auto many = SolveSparse(sparse, b, options, workers);
        ASSERT_TRUE(many.ok());
        for (Index e = 0; e < one->x.size(); ++e) {
          EXPECT_EQ(one->x.data()[e], many->x.data()[e]);
        }
        EXPECT_EQ(one->report.forward_error, many->report.forward_error);
      }
    }
  }
}

TEST(SparseStopTest, AnErrorOrTheBestAnswerByTheReason) {
  const auto sparse =
      SparseOf<double>(SparseNumbers(5000, 60, 0.03, 1e9, Seed{15}));
  const Matrix<double> b = NormalMatrix(5000, 1, Seed{16});
  StopSource whole;
  ASSERT_TRUE(SolveSparse(sparse, b, Odd(1), 2, whole.token()).ok());
  const std::int64_t looks = whole.token().looks();
  for (const std::int64_t look :
       {std::int64_t{1}, looks / 4, looks / 2, looks}) {
    StopSource source;
    source.StopAtLook(look);
    EXPECT_EQ(SolveSparse(sparse, b, Odd(1), 2, source.token()).status().code(),
              absl::StatusCode::kCancelled);
  }
  StopSource draining;
  draining.RequestStop(StopReason::kDraining);
  const auto solution = SolveSparse(sparse, b, Odd(1), 2, draining.token());
  ASSERT_TRUE(solution.ok()) << solution.status();
  EXPECT_EQ(solution->report.termination, Termination::kStopped);
}

TEST(SparseCostTest, BoundsWhatIsAllocatedAndNothingIsMadeDense) {
  struct Shape {
    Index n;
    Index d;
    Index k;
    double density;
  };
  for (const Shape shape : {Shape{3000, 40, 3, 0.05}, Shape{200, 130, 1, 0.1},
                            Shape{40000, 60, 1, 0.01}}) {
    const auto sparse = SparseOf<float>(
        SparseNumbers(shape.n, shape.d, shape.density, 1e8, Seed{17}));
    const PowerShape known{.n = shape.n,
                           .d = shape.d,
                           .k = shape.k,
                           .nonzeros = sparse.view().nonzeros()};
    auto sketch = Odd(1);
    sketch.method = PowerMethod::kSketch;
    for (const auto& options : {Even(2), Odd(1), sketch, Exponential()}) {
      const Index length =
          options.family == PowerFamily::kLeftGramPower ? shape.n : shape.d;
      const Matrix<double> b = NormalMatrix(length, shape.k, Seed{18});
      for (const int count : {1, 4}) {
        const Workers workers(count);
        const AllocationPeak peak;
        ASSERT_TRUE(SolvePowerRegression(AnyCsrView(sparse.view()), b.view(),
                                         options, {workers})
                        .ok());
        const auto bytes = static_cast<double>(peak.bytes());
        EXPECT_LE(bytes, CostOfPowerRegression(known, options, count).bytes);
        if (shape.n == 40000) {
          EXPECT_LT(bytes, 0.5 * 8.0 * 40000.0 * 60.0);
        }
      }
    }
  }
}

}  // namespace
}  // namespace steelyard::test
