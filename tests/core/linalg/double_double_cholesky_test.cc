#include "linalg/double_double_cholesky.h"

#include <gtest/gtest.h>

#include "linalg/double_double.h"
#include "tests/support/every_target.h"
#include "tests/support/matrices.h"

namespace steelyard::test {
namespace {

struct TwicePair {
  Matrix<double> hi;
  Matrix<double> lo;
};

// A'A in double-double, both triangles.
TwicePair GramOf(const Matrix<double>& a) {
  const Index d = a.cols();
  TwicePair gram{Matrix<double>(d, d), Matrix<double>(d, d)};
  for (Index i = 0; i < d; ++i) {
    for (Index j = 0; j < d; ++j) {
      DoubleDouble sum;
      for (Index row = 0; row < a.rows(); ++row) {
        sum = Add(sum, TwoProduct(a(row, i), a(row, j)));
      }
      gram.hi(i, j) = sum.hi;
      gram.lo(i, j) = sum.lo;
    }
  }
  return gram;
}

DoubleDouble Product(DoubleDouble a, DoubleDouble b) {
  return Add(Multiply(a.hi, b), {a.lo * b.hi, 0.0});
}

// Largest |R'R - G| of the upper triangle.
double Error(const TwicePair& r, const TwicePair& gram) {
  double most = 0.0;
  for (Index i = 0; i < r.hi.rows(); ++i) {
    for (Index j = i; j < r.hi.rows(); ++j) {
      DoubleDouble sum{gram.hi(i, j), gram.lo(i, j)};
      for (Index t = 0; t <= i; ++t) {
        sum = Subtract(
            sum, Product({r.hi(t, i), r.lo(t, i)}, {r.hi(t, j), r.lo(t, j)}));
      }
      most = std::max(most, std::abs(sum.hi));
    }
  }
  return most;
}

class DoubleDoubleCholeskyTest : public testing::TestWithParam<Index> {
 protected:
  Workers workers_{2};
};

// Around the tile of 64 and the lanes of every target.
INSTANTIATE_TEST_SUITE_P(Orders, DoubleDoubleCholeskyTest,
                         testing::Values(1, 2, 5, 17, 64, 65, 130));

TEST_P(DoubleDoubleCholeskyTest, FactorsToTwiceTheDigits) {
  const Index d = GetParam();
  const Matrix<double> a = MatrixWithSingularValues(
      d + 3, GeometricValues(d, d == 1 ? 1.0 : 1e12), Seed{1});
  const TwicePair gram = GramOf(a);
  OnEveryTarget([&] {
    TwicePair r = gram;
    const auto zeros =
        DoubleDoubleCholesky(BlockOf(r.hi), BlockOf(r.lo), {workers_});
    ASSERT_TRUE(zeros.ok()) << zeros.status();
    EXPECT_EQ(*zeros, 0);
    // Entries of G are at most 1: Higham, theorem 10.3.
    EXPECT_LE(Error(r, gram), static_cast<double>(d + 4) * 0x1p-102);
  });
}

// The last columns repeat the first: their rows become zero, and what is left
// is as good a factor as before.
TEST_P(DoubleDoubleCholeskyTest, RowsOfDependentColumnsBecomeZero) {
  const Index d = GetParam();
  Matrix<double> a = NormalMatrix(d + 3, d, Seed{2});
  const Index repeated = d / 3;
  for (Index i = 0; i < a.rows(); ++i) {
    for (Index j = 0; j < repeated; ++j) a(i, d - 1 - j) = a(i, j);
  }
  const TwicePair gram = GramOf(a);
  TwicePair r = gram;
  const auto zeros =
      DoubleDoubleCholesky(BlockOf(r.hi), BlockOf(r.lo), {workers_});
  ASSERT_TRUE(zeros.ok()) << zeros.status();
  EXPECT_EQ(*zeros, repeated);
  for (Index j = 0; j < repeated; ++j) {
    for (Index c = d - 1 - j; c < d; ++c) EXPECT_EQ(r.hi(d - 1 - j, c), 0.0);
  }
  // |a|^2 is some d + 3; a dropped pivot is at most 2^-100 of it.
  EXPECT_LE(Error(r, gram), static_cast<double>(4 * d * (d + 4)) * 0x1p-100);
}

TEST_P(DoubleDoubleCholeskyTest, SameBitsForAnyNumberOfWorkers) {
  const TwicePair gram = GramOf(NormalMatrix(2 * GetParam(), GetParam(), {3}));
  TwicePair expected = gram;
  ASSERT_TRUE(DoubleDoubleCholesky(BlockOf(expected.hi), BlockOf(expected.lo),
                                   {workers_})
                  .ok());
  for (const int count : {1, 3, 4}) {
    const Workers workers(count);
    TwicePair r = gram;
    ASSERT_TRUE(
        DoubleDoubleCholesky(BlockOf(r.hi), BlockOf(r.lo), {workers}).ok());
    for (Index e = 0; e < r.hi.size(); ++e) {
      EXPECT_EQ(r.hi.data()[e], expected.hi.data()[e]);
      EXPECT_EQ(r.lo.data()[e], expected.lo.data()[e]);
    }
  }
}

TEST(DoubleDoubleCholeskyStopTest, StopsBetweenTiles) {
  TwicePair r = GramOf(NormalMatrix(200, 190, {3}));
  const Workers workers(1);
  StopSource source;
  source.StopAtLook(5);
  EXPECT_EQ(DoubleDoubleCholesky(BlockOf(r.hi), BlockOf(r.lo),
                                 {workers, source.token()})
                .status()
                .code(),
            absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace steelyard::test
