#include "linalg/tall_skinny_qr.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/bounds.h"
#include "tests/support/long_double_householder.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

RowSource SourceOf(const Matrix<double>& a) {
  return {a.rows(), a.cols(), [&a](Index first, Block<double> out) {
            for (Index i = 0; i < out.rows; ++i) {
              std::copy(a.row(first + i), a.row(first + i) + out.cols,
                        out.row(i));
            }
          }};
}

struct Shape {
  Index n;
  Index d;
};

class TallSkinnyQrTest : public testing::TestWithParam<Shape> {};

TEST_P(TallSkinnyQrTest, GramOfRIsThatOfTheMatrix) {
  const auto [n, d] = GetParam();
  const Workers workers(2);
  const Matrix<double> a = test::NormalMatrix(n, d, {51});

  const auto r = TallSkinnyQr(SourceOf(a), {}, {workers});

  ASSERT_TRUE(r.ok());
  for (Index i = 0; i < d; ++i) {
    EXPECT_GE((*r)(i, i), 0.0);
    for (Index j = 0; j < i; ++j) EXPECT_EQ((*r)(i, j), 0.0);
  }
  for (Index i = 0; i < d; i += 1 + d / 20) {
    for (Index j = i; j < d; j += 1 + d / 20) {
      long double sum = 0.0L;
      long double squares_i = 0.0L;
      long double squares_j = 0.0L;
      for (Index k = 0; k < n; ++k) {
        sum += static_cast<long double>(a(k, i)) * a(k, j);
        squares_i += static_cast<long double>(a(k, i)) * a(k, i);
        squares_j += static_cast<long double>(a(k, j)) * a(k, j);
      }
      for (Index k = 0; k <= i; ++k) {
        sum -= static_cast<long double>((*r)(k, i)) * (*r)(k, j);
      }
      // Columns of A + E with |e_j| <= 40 sqrt(d) u |a_j| (N4), once for each.
      const double bound =
          80.0 * std::sqrt(static_cast<double>(d)) * test::kUnitRoundoff *
          static_cast<double>(std::sqrt(squares_i * squares_j));
      EXPECT_NEAR(static_cast<double>(sum), 0.0, bound);
    }
  }
}

TEST_P(TallSkinnyQrTest, BitsDoNotDependOnTheWorkers) {
  const auto [n, d] = GetParam();
  const Matrix<double> a = test::NormalMatrix(n, d, {52});
  // One set of workers at a time: the smallest of those alive limits TBB.
  std::vector<Matrix<double>> results;
  for (const int count : {1, 2, 3, 4}) {
    const Workers workers(count);
    auto r = TallSkinnyQr(SourceOf(a), {}, {workers});
    ASSERT_TRUE(r.ok());
    results.push_back(*std::move(r));
    EXPECT_EQ(std::memcmp(results.front().data(), results.back().data(),
                          static_cast<std::size_t>(d * d) * sizeof(double)),
              0)
        << count << " workers";
  }
}

// Narrow panels, several panels, several column tiles, one slot and many.
INSTANTIATE_TEST_SUITE_P(Shapes, TallSkinnyQrTest,
                         testing::Values(Shape{1, 1}, Shape{5, 3}, Shape{3, 5},
                                         Shape{100, 9}, Shape{6000, 20},
                                         Shape{2500, 67}, Shape{500, 330},
                                         Shape{60, 400}));

TEST(TallSkinnyQrAccuracyTest, IsBackwardStableAtEveryCondition) {
  const Workers workers(2);
  for (const double cond : {1e0, 1e4, 1e8, 1e12}) {
    // Four slots: the tree counts too.
    const auto a = test::KeysWithSpectrum<double>(
        {.rows = 3000, .columns = 10, .cond = cond, .seed = {53}});
    Matrix<double> dense(3000, 10);
    std::copy(a.view().data(), a.view().data() + 30000, dense.data());
    const auto r = TallSkinnyQr(SourceOf(dense), {}, {workers});
    ASSERT_TRUE(r.ok());
    const std::vector<int> none(10, 0);
    const auto error =
        static_cast<double>(test::LongDoubleGramError(a.view(), none, *r));
    EXPECT_LE(error, test::HouseholderBound(10, cond));
  }
}

TEST(TallSkinnyQrAccuracyTest, TinyTailsAreClearedWithoutUnderflow) {
  // Below the first row everything squares to zero.
  Matrix<double> a(4, 2);
  a(0, 0) = 1.0;
  a(1, 0) = 1e-200;
  a(2, 1) = 1e-180;
  a(3, 1) = 1.0;
  const Workers workers(1);
  const auto r = TallSkinnyQr(SourceOf(a), {}, {workers});
  ASSERT_TRUE(r.ok());
  EXPECT_NEAR((*r)(0, 0), 1.0, test::Gamma(4));
  EXPECT_NEAR((*r)(1, 1), 1.0, test::Gamma(4));
  EXPECT_NEAR((*r)(0, 1), 0.0, test::Gamma(4));
}

TEST(TallSkinnyQrAccuracyTest, KeepsFewRowsWhoseLeadingColumnsVanish) {
  // R of one row e_3' is e_3 e_3', not zero: its row that counts is the third.
  Matrix<double> a(1, 3);
  a(0, 2) = 1.0;
  const Workers workers(1);
  const auto r = TallSkinnyQr(SourceOf(a), {}, {workers});
  ASSERT_TRUE(r.ok());
  for (Index i = 0; i < 3; ++i) {
    for (Index j = 0; j < 3; ++j) {
      EXPECT_EQ((*r)(i, j), i == 2 && j == 2 ? 1.0 : 0.0);
    }
  }
}

TEST(TallSkinnyQrRidgeTest, DiagonalCountsAsRows) {
  const Workers workers(2);
  const Matrix<double> a(1, 3);
  const auto r = TallSkinnyQr(SourceOf(a), {3.0, 0.0, 4.0}, {workers});
  ASSERT_TRUE(r.ok());
  EXPECT_EQ((*r)(0, 0), 3.0);
  EXPECT_EQ((*r)(1, 1), 0.0);
  EXPECT_EQ((*r)(2, 2), 4.0);
}

}  // namespace
}  // namespace steelyard
