#include "factor/row_loader.h"

#include <cmath>
#include <limits>

#include "factor/factor.h"
#include "gtest/gtest.h"
#include "tests/support/bounds.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

TEST(RowLoaderTest, ReadsPartsOfRows) {
  const Matrix<double> a = test::NormalMatrix(6, 9, {1});
  const RowLoader loader(a.view(), {});
  Matrix<double> out(3, 4);
  loader.Load(2, 5, BlockOf(out));
  for (Index i = 0; i < 3; ++i) {
    for (Index j = 0; j < 4; ++j) EXPECT_EQ(out(i, j), a(2 + i, 5 + j));
  }
}

TEST(RowLoaderTest, ScalesExactlyWhereNoSingleFactorIsADouble) {
  // Column norms down to the smallest subnormal and up past 2^1023.
  test::StoredMatrix<double> a(1, 5);
  a.Set(0, 0, 0x1p-1074);
  a.Set(0, 1, -0x1.8p-1060);
  a.Set(0, 2, 0x1.fffp1023);
  a.Set(0, 3, 0x1p1000);
  a.Set(0, 4, 3.0);
  Matrix<double> out(1, 5);
  RowLoader(a.view(), {-1074, -1060, 1030, 1000, 1}).Load(0, 0, BlockOf(out));
  EXPECT_EQ(out(0, 0), 1.0);
  EXPECT_EQ(out(0, 1), -1.5);
  EXPECT_EQ(out(0, 2), 0x1.fffp-7);
  EXPECT_EQ(out(0, 3), 1.0);
  EXPECT_EQ(out(0, 4), 1.5);
}

TEST(RowLoaderTest, StripsHoldTheSameNumbersAsRows) {
  // One factor a column, and columns that need two.
  for (const int extreme : {20, 1060}) {
    Matrix<double> a = test::NormalMatrix(9, 11, {3});
    std::vector<int> exponents;
    for (Index c = 0; c < 11; ++c) {
      exponents.push_back(c % 3 == 0 ? 3 : -extreme);
      for (Index i = 0; i < 9; ++i) {
        // Powers of two, exact however small.
        a(i, c) = std::ldexp(1.0, exponents.back() + static_cast<int>(i) - 4);
      }
    }
    const RowLoader loader(a.view(), exponents);
    Matrix<double> rows(5, 10);
    loader.Load(3, 1, BlockOf(rows));
    AlignedVector<double> wide(
        static_cast<std::size_t>(StripSize<double>(8, 2)));
    AlignedVector<float> narrow(
        static_cast<std::size_t>(StripSize<float>(8, 1)));
    const StripBlock<double> strips{wide.data(), 8, 2};
    const StripBlock<float> floats{narrow.data(), 8, 1};
    loader.LoadStrips(3, 1, 5, 10, strips);
    loader.LoadStrips(3, 1, 5, 10, floats);
    for (Index i = 0; i < 5; ++i) {
      for (Index c = 0; c < 10; ++c) {
        EXPECT_EQ(strips.strip(c / 8)[i * 8 + c % 8], rows(i, c));
        EXPECT_EQ(floats.strip(0)[i * 16 + c], static_cast<float>(rows(i, c)));
      }
    }
  }
}

TEST(RowLengthsTest, ColumnsOfOneSizeShareAFactor) {
  Matrix<double> a = test::NormalMatrix(500, 40, {4});
  for (Index i = 0; i < 500; ++i) {
    // Long rows, an outlying column, columns that tell nothing.
    for (Index c = 0; c < 40; ++c) a(i, c) *= i % 16 == 0 ? 1e3 : 1.0;
    a(i, 5) *= 1e6;
    a(i, 6) = 0.0;
    a(i, 7) = i % 2 == 0 ? std::numeric_limits<double>::quiet_NaN() : 1.0;
  }
  RowLengths lengths = LengthsToMeasure(a.view());
  ASSERT_EQ(lengths.factors.size(), 40u);
  for (const std::size_t c : {0u, 1u, 6u, 39u}) {
    EXPECT_EQ(lengths.factors[c], 1.0);
  }
  // 16^5 is nearest to 1e6.
  EXPECT_EQ(lengths.factors[5], 0x1p-20);
  for (Index i = 0; i < 500; ++i) a(i, 7) = 0.0;
  lengths.factors[7] = 1.0;
  lengths.squares.assign(500, -1.0);
  AlignedVector<double> strips(
      static_cast<std::size_t>(StripSize<double>(8, 5)));
  RowLoader(a.view(), {})
      .LoadStrips(3, 8, StripBlock<double>{strips.data(), 8, 5}, lengths);
  EXPECT_EQ(lengths.squares[2], -1.0);
  EXPECT_EQ(lengths.squares[11], -1.0);
  double square = 0.0;
  for (Index c = 0; c < 40; ++c) {
    const double x = a(4, c) * lengths.factors[static_cast<std::size_t>(c)];
    EXPECT_EQ(strips[static_cast<std::size_t>(c / 8 * 9 * 8 + 8 + c % 8)],
              a(4, c));
    square += x * x;
  }
  EXPECT_NEAR(lengths.squares[4], square, test::Gamma(84) * square);
  EXPECT_GE(lengths.Above(lengths.squares[4]), square);
}

TEST(RowLoaderTest, LoadScaledRowsIsTheSameByRows) {
  const auto a = test::Stored<Half>(test::NormalMatrix(7, 3, {2}));
  Matrix<double> out(2, 3);
  LoadScaledRows(a.view(), 4, 2, {1, 0, -3}, out.data());
  for (Index i = 0; i < 2; ++i) {
    EXPECT_EQ(out(i, 0), a(4 + i, 0) / 2);
    EXPECT_EQ(out(i, 1), a(4 + i, 1));
    EXPECT_EQ(out(i, 2), a(4 + i, 2) * 8);
  }
}

}  // namespace
}  // namespace steelyard
