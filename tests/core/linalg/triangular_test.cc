#include "linalg/triangular.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "gtest/gtest.h"
#include "linalg/blas.h"
#include "steelyard/random.h"

namespace steelyard {
namespace {

constexpr double kU = 0x1p-53;

// Diagonally dominant upper triangle, NaN below the diagonal: nobody may read
// it. Inverse entries stay below 1.
Matrix<double> Upper(Index n) {
  const RandomStream random{.seed = {3}, .stream = 1};
  Matrix<double> r(n, n);
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < n; ++j) {
      const auto at = static_cast<std::uint64_t>(i * n + j);
      r(i, j) = j < i ? std::numeric_limits<double>::quiet_NaN()
                      : (random.Uniform(at) - 0.5) / static_cast<double>(n);
    }
    r(i, i) = 1.0 + 0.5 * random.Uniform(static_cast<std::uint64_t>(i));
  }
  return r;
}

Matrix<double> Random(Index rows, Index cols) {
  const RandomStream random{.seed = {3}, .stream = 2};
  Matrix<double> b(rows, cols);
  for (Index i = 0; i < b.size(); ++i) {
    b.data()[i] = random.Uniform(static_cast<std::uint64_t>(i));
  }
  return b;
}

double Largest(const Matrix<double>& a, const Matrix<double>& b) {
  double largest = 0.0;
  for (Index i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(a.data()[i] - b.data()[i]));
  }
  return largest;
}

// Higham, Theorem 8.5, twice (solve and multiply); rows of |R| sum to less than
// 2 and entries of X stay below 2.
double SolveBound(Index n) { return 8.0 * static_cast<double>(n + 2) * kU; }

class TriangularTest : public testing::TestWithParam<Index> {};

TEST_P(TriangularTest, SolveUndoesTheProductOnBothSides) {
  const Index n = GetParam();
  const Workers workers(2);
  const Matrix<double> r = Upper(n);
  for (const bool turned : {false, true}) {
    Operand<double> upper(BlockOf(r));
    upper.transposed = turned;
    const Matrix<double> b = Random(n, 3);
    Matrix<double> x = b;
    TrmmUpper(Side::kLeft, upper, BlockOf(x));
    ASSERT_TRUE(SolveUpper(upper, BlockOf(x), {workers}).ok());
    EXPECT_LE(Largest(x, b), SolveBound(n));

    const Matrix<double> c = Random(4, n);
    Matrix<double> y = c;
    TrmmUpper(Side::kRight, upper, BlockOf(y));
    ASSERT_TRUE(SolveUpperFromRight(BlockOf(y), upper, {}).ok());
    EXPECT_LE(Largest(y, c), SolveBound(n));
  }
}

TEST_P(TriangularTest, InverseNormIsThatOfTheInverse) {
  const Index n = GetParam();
  const Workers workers(2);
  const Matrix<double> r = Upper(n);
  Matrix<double> inverse(n, n);
  for (Index i = 0; i < n; ++i) inverse(i, i) = 1.0;
  TrsmUpper(Side::kLeft, BlockOf(r), BlockOf(inverse));
  long double sum = 0.0L;
  for (Index i = 0; i < inverse.size(); ++i) {
    sum += static_cast<long double>(inverse.data()[i]) * inverse.data()[i];
  }
  const auto norm = InverseFrobeniusNorm(BlockOf(r), {workers});
  ASSERT_TRUE(norm.ok());
  const double wanted = static_cast<double>(std::sqrt(sum));
  // Sums of n^2 squares and two solves, all terms positive.
  EXPECT_NEAR(*norm, wanted, wanted * static_cast<double>(n * n + 2 * n) * kU);
}

INSTANTIATE_TEST_SUITE_P(Sizes, TriangularTest,
                         testing::Values(1, 5, 256, 257, 530));

TEST(TriangularEdgesTest, InverseOfASingularMatrixIsInfinite) {
  const Workers workers(1);
  Matrix<double> r = Upper(6);
  r(3, 3) = 0.0;
  EXPECT_EQ(*InverseFrobeniusNorm(BlockOf(r), {workers}),
            std::numeric_limits<double>::infinity());
  r(3, 3) = 1e-300;
  EXPECT_EQ(*InverseFrobeniusNorm(BlockOf(r), {workers}),
            std::numeric_limits<double>::infinity());
}

TEST(TriangularBitsTest, DoNotDependOnTheWorkers) {
  const Matrix<double> r = Upper(600);
  Matrix<double> first;
  for (const int count : {1, 2, 3, 4}) {
    const Workers workers(count);
    Matrix<double> x = Random(600, 300);
    ASSERT_TRUE(SolveUpper(BlockOf(r), BlockOf(x), {workers}).ok());
    if (count == 1) {
      first = x;
    } else {
      EXPECT_EQ(Largest(first, x), 0.0) << count << " workers";
    }
  }
}

TEST(TriangularStopTest, EndsAtTheLookThatSaysStop) {
  const Workers workers(2);
  const Matrix<double> r = Upper(800);
  for (const std::int64_t look : {1, 3, 5}) {
    StopSource solve;
    solve.StopAtLook(look);
    Matrix<double> x = Random(800, 2);
    EXPECT_EQ(
        SolveUpper(BlockOf(r), BlockOf(x), {workers, solve.token()}).code(),
        absl::StatusCode::kCancelled);
    StopSource right;
    right.StopAtLook(look);
    Matrix<double> y = Random(2, 800);
    EXPECT_EQ(SolveUpperFromRight(BlockOf(y), BlockOf(r), right.token()).code(),
              absl::StatusCode::kCancelled);
    StopSource norm;
    norm.StopAtLook(look);
    EXPECT_EQ(InverseFrobeniusNorm(BlockOf(r), {workers, norm.token()})
                  .status()
                  .code(),
              absl::StatusCode::kCancelled);
  }
}

}  // namespace
}  // namespace steelyard
