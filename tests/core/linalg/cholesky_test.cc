#include "linalg/cholesky.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "gtest/gtest.h"
#include "linalg/blas.h"
#include "steelyard/random.h"

namespace steelyard {
namespace {

constexpr double kU = 0x1p-53;

// B'B + I for a random B: positive definite. Below the diagonal: NaN, because
// nobody may read it.
Matrix<double> PositiveDefinite(Index n, Index stride) {
  const RandomStream random{.seed = {11}, .stream = 0};
  Matrix<double> b(n, n);
  for (Index i = 0; i < b.size(); ++i) {
    b.data()[i] = random.Uniform(static_cast<std::uint64_t>(i)) - 0.5;
  }
  Matrix<double> a(n, stride);
  SyrkUpper(1.0, Transposed(BlockOf(b)), 0.0, BlockOf(a).Part(0, 0, n, n));
  for (Index i = 0; i < n; ++i) {
    a(i, i) += 1.0;
    for (Index j = 0; j < i; ++j) {
      a(i, j) = std::numeric_limits<double>::quiet_NaN();
    }
  }
  return a;
}

class CholeskyTest : public testing::TestWithParam<Index> {};

TEST_P(CholeskyTest, ProductGivesTheMatrixBack) {
  const Index n = GetParam();
  const Matrix<double> a = PositiveDefinite(n, n + 3);
  Matrix<double> r = a;
  const Workers workers(2);

  const auto outcome = CholeskyInPlace(r.data(), n, n + 3, {workers});

  ASSERT_TRUE(outcome.ok()) << outcome.status();
  ASSERT_TRUE(outcome->positive_definite);
  // Row and column samples reach every tile.
  for (Index i = 0; i < n; i += 1 + n / 40) {
    EXPECT_GT(r(i, i), 0.0);
    for (Index j = i; j < n; j += 1 + n / 40) {
      long double sum = 0.0L;
      long double size = 0.0L;
      for (Index k = 0; k <= i; ++k) {
        const long double term = static_cast<long double>(r(k, i)) * r(k, j);
        sum += term;
        size += std::abs(term);
      }
      // Higham, Theorem 10.3: |R'R - A| <= (n + 1) u |R'||R|.
      EXPECT_NEAR(static_cast<double>(sum - static_cast<long double>(a(i, j))),
                  0.0,
                  static_cast<double>(n + 1) * kU * static_cast<double>(size));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, CholeskyTest,
                         testing::Values(1, 2, 37, 255, 256, 257, 600));

TEST(CholeskyBitsTest, DoNotDependOnTheWorkers) {
  constexpr Index n = 700;
  const Matrix<double> a = PositiveDefinite(n, n);
  Matrix<double> first;
  for (const int count : {1, 2, 3, 4}) {
    Matrix<double> r = a;
    const Workers workers(count);
    ASSERT_TRUE(CholeskyInPlace(r.data(), n, n, {workers}).ok());
    if (count == 1) {
      first = r;
    } else {
      EXPECT_EQ(std::memcmp(first.data(), r.data(), n * n * sizeof(double)), 0)
          << count << " workers";
    }
  }
}

TEST(CholeskyPivotTest, FirstPivotThatFailsIsNamed) {
  const Workers workers(2);
  for (const Index bad : {0, 5, 300, 599}) {
    Matrix<double> a = PositiveDefinite(600, 600);
    a(bad, bad) = -1.0;
    const auto outcome = CholeskyInPlace(a.data(), 600, 600, {workers});
    ASSERT_TRUE(outcome.ok());
    EXPECT_FALSE(outcome->positive_definite);
    EXPECT_EQ(outcome->failed_pivot, bad);
  }
}

TEST(CholeskyStopTest, EndsAtTheLookThatSaysStop) {
  const Workers workers(2);
  const Matrix<double> a = PositiveDefinite(1000, 1000);
  for (const std::int64_t look : {1, 2, 7, 12}) {
    StopSource source;
    source.StopAtLook(look);
    Matrix<double> r = a;
    const auto outcome =
        CholeskyInPlace(r.data(), 1000, 1000, {workers, source.token()});
    EXPECT_EQ(outcome.status().code(), absl::StatusCode::kCancelled);
    // Tiles start only at looks that allow it.
    EXPECT_EQ(source.token().looks() - source.token().looks_after_stop(),
              look - 1);
  }
}

}  // namespace
}  // namespace steelyard
