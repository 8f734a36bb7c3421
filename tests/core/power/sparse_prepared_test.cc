// Sparse matrices that are prepared once: the answers of dense ones, the bits
// of lone calls, and what a prepared matrix serves.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "power/power_factor.h"
#include "steelyard/prepared_matrix.h"
#include "tests/core/power/power_problems.h"
#include "tests/core/sparse/sparse_matrix.h"
#include "tests/support/allocation_peak.h"
#include "tests/support/bounds.h"

namespace steelyard::test {
namespace {

constexpr Index kRows = 400;
constexpr Index kCols = 12;

struct Case {
  std::string name;
  PowerRegressionOptions options;
  double condition = 100.0;
  bool deficient = false;
};

PowerRegressionOptions Of(PowerFamily family, int exponent) {
  return {.family = family, .exponent = exponent};
}

std::vector<Case> Cases() {
  PowerRegressionOptions ridge = Of(PowerFamily::kGramPower, 2);
  ridge.ridge = 0.5;
  PowerRegressionOptions sketch = Of(PowerFamily::kLeftGramPower, 0);
  sketch.method = PowerMethod::kSketch;
  PowerRegressionOptions even_sketch = Of(PowerFamily::kGramPower, 2);
  even_sketch.method = PowerMethod::kSketch;
  PowerRegressionOptions gram = Of(PowerFamily::kLeftGramPower, 1);
  gram.method = PowerMethod::kGram;
  PowerRegressionOptions svd = Of(PowerFamily::kLeftGramPower, 0);
  svd.method = PowerMethod::kSvd;
  PowerRegressionOptions extended = Of(PowerFamily::kGramPower, 2);
  extended.extended_output = true;
  return {
      {"Even1", Of(PowerFamily::kGramPower, 1)},
      {"Even3", Of(PowerFamily::kGramPower, 3), 1e4},
      {"Odd0", Of(PowerFamily::kLeftGramPower, 0), 1e6},
      {"Odd2", Of(PowerFamily::kLeftGramPower, 2), 1e8},
      {"Exponential", Of(PowerFamily::kMatrixExponential, 1)},
      {"Ridge", ridge, 1e6},
      {"Sketch", sketch, 1e8},
      {"EvenSketch", even_sketch, 1e3},
      {"Gram", gram, 1e3},
      {"Svd", svd, 1e3},
      {"Extended", extended, 1e3},
      {"Deficient", Of(PowerFamily::kLeftGramPower, 1), 10.0, true},
  };
}

SparseMatrix<double> MatrixOf(const Case& problem) {
  Matrix<double> numbers =
      SparseNumbers(kRows, kCols, 0.2, problem.condition, Seed{41});
  // e^(A'A) of a norm near 1.
  const bool small = problem.options.family == PowerFamily::kMatrixExponential;
  for (Index e = 0; small && e < numbers.size(); ++e) {
    numbers.data()[e] *= 0.1;
  }
  for (Index i = 0; problem.deficient && i < kRows; ++i) {
    numbers(i, 3) = numbers(i, 7);
  }
  return SparseOf<double>(numbers);
}

Matrix<double> RightSides(const Case& problem, Index k) {
  const bool odd = problem.options.family == PowerFamily::kLeftGramPower;
  Matrix<double> b = NormalMatrix(odd ? kRows : kCols, k, Seed{42});
  for (Index i = 0; i < b.rows(); ++i) {
    if (k > 2) b(i, 2) = 0.0;
    if (k > 6) b(i, 6) *= 0x1p-300;
  }
  return b;
}

// Columns [first, first + count).
Matrix<double> Part(const Matrix<double>& all, Index first, Index count) {
  Matrix<double> part(all.rows(), count);
  for (Index i = 0; i < all.rows(); ++i) {
    std::copy_n(all.row(i) + first, count, part.row(i));
  }
  return part;
}

// Entry (i, c) with its exponent.
long double Entry(const Solution& solution, Index i, Index c) {
  const long double x = solution.x(i, c);
  if (solution.x_exponents.empty()) return x;
  const auto at = static_cast<std::size_t>(i * solution.x.cols() + c);
  return std::ldexp(x, solution.x_exponents[at]);
}

// |x - y| / |x| of column c.
double Distance(const Solution& x, const Solution& y, Index c) {
  long double square = 0.0L;
  long double size = 0.0L;
  for (Index i = 0; i < x.x.rows(); ++i) {
    square += std::pow(Entry(x, i, c) - Entry(y, i, c), 2.0L);
    size += std::pow(Entry(x, i, c), 2.0L);
  }
  return static_cast<double>(size == 0.0L ? std::sqrt(square)
                                          : std::sqrt(square / size));
}

// Column 0 of `one` and column c of `many`: x and what is reported.
void ExpectSameBits(const Solution& one, const Solution& many, Index c) {
  const auto at = static_cast<std::size_t>(c);
  for (Index i = 0; i < one.x.rows(); ++i) {
    ASSERT_EQ(Entry(one, i, 0), Entry(many, i, c)) << i << ", " << c;
    if (one.x_low.empty()) continue;
    ASSERT_EQ(one.x_low(i, 0), many.x_low(i, c));
  }
  const SolveReport& a = one.report;
  const SolveReport& b = many.report;
  const auto expect_same = [&](const std::vector<double>& x,
                               const std::vector<double>& y) {
    ASSERT_EQ(x.empty(), y.empty());
    if (x.empty()) return;
    EXPECT_EQ(std::bit_cast<std::uint64_t>(x[0]),
              std::bit_cast<std::uint64_t>(y[at]));
  };
  expect_same(a.relative_residual, b.relative_residual);
  expect_same(a.excess_residual, b.excess_residual);
  expect_same(a.residual_floor, b.residual_floor);
  expect_same(a.backward_error, b.backward_error);
  expect_same(a.least_squares_backward_error, b.least_squares_backward_error);
  expect_same(a.optimality, b.optimality);
  expect_same(a.forward_error, b.forward_error);
  EXPECT_EQ(a.converged[0], b.converged[at]);
}

class SparsePreparedTest : public testing::TestWithParam<Case> {};

TEST_P(SparsePreparedTest, AgreesWithTheDenseMatrix) {
  const Case problem = GetParam();
  const auto csr = MatrixOf(problem);
  const Matrix<double> dense = csr.Dense();
  const Matrix<double> b = RightSides(problem, 8);
  const AnyMatrixView view = b.view();
  const auto solve = [&](const DenseOrCsr& a) {
    const auto prepared = PrepareMatrix(a, problem.options, {OneWorker()});
    EXPECT_TRUE(prepared.ok()) << prepared.status();
    return *SolveTogether(*prepared, a, {&view, 1}, problem.options,
                          {OneWorker()})
                .front();
  };

  const Solution ours = solve(AnyCsrView(csr.view()));
  const Solution theirs = solve(dense.view());

  EXPECT_EQ(ours.report.rank, theirs.report.rank);
  EXPECT_EQ(ours.report.rank, problem.deficient ? kCols - 1 : kCols);
  EXPECT_EQ(ours.report.termination, Termination::kConverged)
      << ours.report.method;
  EXPECT_EQ(theirs.report.termination, Termination::kConverged);
  for (Index c = 0; c < b.cols(); ++c) {
    const auto at = static_cast<std::size_t>(c);
    const double errors =
        ours.report.forward_error[at] + theirs.report.forward_error[at];
    // Both are right to the first digit.
    EXPECT_LE(Distance(ours, theirs, c), 2.0 * errors + Gamma(kCols))
        << ours.report.method;
    EXPECT_LT(errors, 0.1);
  }
}

TEST_P(SparsePreparedTest, BitsOfALoneCallAtAnyPlaceBesideAnybody) {
  constexpr Index kMany = 55;  // more than one slice
  const Case problem = GetParam();
  const auto csr = MatrixOf(problem);
  const DenseOrCsr a = AnyCsrView(csr.view());
  const Matrix<double> b = RightSides(problem, kMany);
  const Workers three(3);
  const auto prepared = PrepareMatrix(a, problem.options, {OneWorker()});
  ASSERT_TRUE(prepared.ok()) << prepared.status();
  const AnyMatrixView whole = b.view();
  const auto all =
      SolveTogether(*prepared, a, {&whole, 1}, problem.options, {OneWorker()});
  const Matrix<double> left = Part(b, 0, 7);
  const Matrix<double> right = Part(b, 7, kMany - 7);
  const std::vector<AnyMatrixView> callers = {left.view(), right.view()};
  const auto some =
      SolveTogether(*prepared, a, callers, problem.options, {three});
  ASSERT_TRUE(all[0].ok() && some[0].ok() && some[1].ok()) << all[0].status();

  // Another factor of the same matrix, made by other workers.
  const auto again = PrepareMatrix(a, problem.options, {three});
  ASSERT_TRUE(again.ok());
  for (const Index c : {0, 2, 6, 7, 30, 48, 54}) {
    const Matrix<double> column = Column(b, c);
    const AnyMatrixView one = column.view();
    const auto alone =
        SolveTogether(*again, a, {&one, 1}, problem.options, {three});
    ASSERT_TRUE(alone[0].ok()) << alone[0].status();
    ExpectSameBits(*alone[0], *all[0], c);
    ExpectSameBits(*alone[0], c < 7 ? *some[0] : *some[1], c < 7 ? c : c - 7);
  }
}

TEST_P(SparsePreparedTest, TheCostCoversTheMemory) {
  const Case problem = GetParam();
  const auto csr = MatrixOf(problem);
  const DenseOrCsr a = AnyCsrView(csr.view());
  for (const Index k : {Index{1}, Index{55}}) {
    const Matrix<double> b = RightSides(problem, k);
    const AnyMatrixView view = b.view();
    const PowerShape shape{
        .n = kRows, .d = kCols, .k = k, .nonzeros = Nonzeros(a)};
    const AllocationPeak preparing;
    const auto prepared = PrepareMatrix(a, problem.options, {OneWorker()});
    ASSERT_TRUE(prepared.ok());
    EXPECT_LE(static_cast<double>(preparing.bytes()),
              CostOfPreparing(shape, problem.options, 1).bytes);
    const AllocationPeak solving;
    ASSERT_TRUE(
        SolveTogether(*prepared, a, {&view, 1}, problem.options, {OneWorker()})
            .front()
            .ok());
    EXPECT_LE(static_cast<double>(solving.bytes()),
              CostOfSolvingTogether(shape, problem.options, 1).bytes);
  }
}

INSTANTIATE_TEST_SUITE_P(Problems, SparsePreparedTest,
                         testing::ValuesIn(Cases()), [](const auto& problem) {
                           return problem.param.name;
                         });

// Of every rule of Serves: options that are served, and the same with one
// change that is not.
class ServesTest : public testing::TestWithParam<bool> {
 protected:
  PreparedMatrix Prepare(const PowerRegressionOptions& options) const {
    const DenseOrCsr a = GetParam() ? DenseOrCsr(AnyCsrView(csr_.view()))
                                    : DenseOrCsr(dense_.view());
    return *PrepareMatrix(a, options, {OneWorker()});
  }

 private:
  const SparseMatrix<double> csr_ =
      SparseOf<double>(SparseNumbers(kRows, kCols, 0.2, 10.0, Seed{43}));
  const Matrix<double> dense_ = csr_.Dense();
};

INSTANTIATE_TEST_SUITE_P(Matrices, ServesTest, testing::Bool(),
                         [](const auto& sparse) {
                           return sparse.param ? "Csr" : "Dense";
                         });

TEST_P(ServesTest, PowersOfBothFamiliesShareAFactor) {
  const auto even = Of(PowerFamily::kGramPower, 1);
  const auto odd = Of(PowerFamily::kLeftGramPower, 0);
  const PreparedMatrix of_even = Prepare(even);
  const PreparedMatrix of_odd = Prepare(odd);
  for (const int exponent : {1, 2, 64}) {
    EXPECT_TRUE(of_even.Serves(Of(PowerFamily::kGramPower, exponent)));
    EXPECT_TRUE(of_even.Serves(Of(PowerFamily::kLeftGramPower, exponent)));
    EXPECT_TRUE(of_odd.Serves(Of(PowerFamily::kLeftGramPower, exponent)));
    EXPECT_TRUE(of_odd.Serves(Of(PowerFamily::kGramPower, exponent)));
  }
}

TEST_P(ServesTest, ExponentialsAndPowersAreKeptApart) {
  const auto even = Of(PowerFamily::kGramPower, 1);
  const auto odd = Of(PowerFamily::kLeftGramPower, 0);
  const auto exponential = Of(PowerFamily::kMatrixExponential, 1);
  EXPECT_FALSE(Prepare(even).Serves(exponential));
  const PreparedMatrix prepared = Prepare(exponential);
  EXPECT_TRUE(prepared.Serves(exponential));
  EXPECT_FALSE(prepared.Serves(even));
  EXPECT_FALSE(prepared.Serves(odd));
}

TEST_P(ServesTest, RidgeAndMethodAreThoseItWasMadeWith) {
  for (const auto method :
       {std::optional<PowerMethod>(), std::optional(PowerMethod::kGram),
        std::optional(PowerMethod::kQr), std::optional(PowerMethod::kSvd),
        std::optional(PowerMethod::kSketch)}) {
    auto made = Of(PowerFamily::kLeftGramPower, 1);
    made.method = method;
    made.ridge = 0.25;
    const PreparedMatrix prepared = Prepare(made);
    EXPECT_TRUE(prepared.Serves(made));
    auto other = made;
    other.ridge = 0.0;
    EXPECT_FALSE(prepared.Serves(other));
    for (const auto another :
         {std::optional<PowerMethod>(), std::optional(PowerMethod::kGram),
          std::optional(PowerMethod::kQr), std::optional(PowerMethod::kSvd),
          std::optional(PowerMethod::kSketch)}) {
      other = made;
      other.method = another;
      EXPECT_EQ(prepared.Serves(other), another == method);
    }
    for (const auto never :
         {PowerMethod::kSeries, PowerMethod::kSketchPublished}) {
      other = made;
      other.method = never;
      EXPECT_FALSE(CanPrepare(other));
      EXPECT_FALSE(prepared.Serves(other));
    }
  }
}

TEST_P(ServesTest, WhatDoesNotTouchTheFactorDoesNotMatter) {
  const auto made = Of(PowerFamily::kLeftGramPower, 1);
  auto other = made;
  other.tolerance = 1e-3;
  other.max_iterations = 7;
  other.extended_output = true;
  // No sketch was drawn.
  other.seed = Seed{99};
  other.sketch = {.kind = SketchKind::kGaussian, .rows = 100};
  EXPECT_TRUE(Prepare(made).Serves(other));
}

TEST_P(ServesTest, ASketchIsTheOneThatWasDrawn) {
  auto made = Of(PowerFamily::kLeftGramPower, 0);
  made.method = PowerMethod::kSketch;
  made.sketch = {.kind = SketchKind::kCountSketch, .rows = 200};
  made.seed = Seed{7};
  const PreparedMatrix prepared = Prepare(made);
  EXPECT_TRUE(prepared.factor().sketched);
  EXPECT_TRUE(prepared.Serves(made));
  auto other = made;
  other.seed = Seed{8};
  EXPECT_FALSE(prepared.Serves(other));
  other = made;
  other.sketch.kind = SketchKind::kSparseSign;
  EXPECT_FALSE(prepared.Serves(other));
  other = made;
  other.sketch.rows.reset();
  EXPECT_FALSE(prepared.Serves(other));
}

}  // namespace
}  // namespace steelyard::test
