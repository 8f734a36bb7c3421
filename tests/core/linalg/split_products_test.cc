#include "linalg/split_products.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/support/every_target.h"
#include "tests/support/matrices.h"

namespace steelyard::test {
namespace {

// A'B of a block, and what is known of it.
struct Product {
  Matrix<double> hi, lo;
  std::vector<double> expected;  // a column

  Product(const Matrix<double>& a, const Matrix<double>& b)
      : hi(SplitHeight(a.cols()), PaddedColumns(b.cols())),
        lo(hi.rows(), hi.cols()) {
    SplitStrips strips(a.cols());
    strips.Set(BlockOf(a));
    SplitColumns columns(hi.cols());
    const Block<double> to = columns.Rows(b.rows());
    for (Index i = 0; i < b.rows(); ++i) {
      for (Index c = 0; c < to.cols; ++c) {
        to(i, c) = c < b.cols() ? b(i, c) : 0.0;
      }
    }
    std::vector<double> squares(static_cast<std::size_t>(hi.cols()));
    std::vector<double> ceilings(squares);
    columns.Split(squares, ceilings);
    for (std::size_t c = 0; c < squares.size(); ++c) {
      expected.push_back(strips.ExpectedSquare(ceilings[c], squares[c]));
    }
    AddSplitProduct(strips, columns, 0, BlockOf(hi), BlockOf(lo));
  }
};

// Root mean square over the rows of column c of what is wrong with `product`.
double ErrorOf(const Product& product, const Matrix<double>& a,
               const Matrix<double>& b, Index c) {
  double sum = 0.0;
  for (Index i = 0; i < a.cols(); ++i) {
    // 113 bits.
    __float128 exact = 0.0;
    for (Index r = 0; r < a.rows(); ++r) {
      exact += static_cast<__float128>(a(r, i)) * b(r, c);
    }
    const auto error =
        static_cast<double>(exact - product.hi(i, c) - product.lo(i, c));
    sum += error * error;
  }
  return std::sqrt(sum / static_cast<double>(a.cols()));
}

void ExpectErrors() {
  for (const Index rows : {Index{1}, Index{7}, Index{100}, kSplitRows}) {
    const Matrix<double> a = NormalMatrix(rows, 43, Seed{1});
    Matrix<double> b = NormalMatrix(rows, 35, Seed{2});
    for (Index i = 0; i < rows; ++i) {
      b(i, 1) *= 0x1p-400;
      b(i, 2) *= std::ldexp(1.0, static_cast<int>(i % 40));
      b(i, 3) = 0.0;
    }
    const Product product(a, b);
    for (const Index c : {0, 1, 2, 3, 8, 23, 24, 31, 34}) {
      const double expected =
          std::sqrt(product.expected[static_cast<std::size_t>(c)]);
      // The mean of 43 squares; a few rows have few roundings.
      EXPECT_LE(ErrorOf(product, a, b, c), 2.0 * expected) << rows << " " << c;
      if (rows >= 100 && c != 2 && c != 3) {
        EXPECT_GE(ErrorOf(product, a, b, c), 0.4 * expected) << c;
      }
    }
    for (Index i = a.cols(); i < SplitHeight(a.cols()); ++i) {
      EXPECT_EQ(product.hi(i, 0), 0.0);
    }
  }
}

void ExpectBitsOfAColumnAlone() {
  const Matrix<double> a = NormalMatrix(77, 20, Seed{1});
  const Matrix<double> b = NormalMatrix(77, 61, Seed{2});
  const Product all(a, b);
  for (const Index c : {0, 5, 23, 24, 47, 48, 60}) {
    Matrix<double> column(77, 1);
    for (Index i = 0; i < 77; ++i) column(i, 0) = b(i, c);
    const Product alone(a, column);
    for (Index i = 0; i < 20; ++i) {
      EXPECT_EQ(all.hi(i, c), alone.hi(i, 0));
      EXPECT_EQ(all.lo(i, c), alone.lo(i, 0));
    }
  }
}

TEST(SplitProductsTest, ErrsByWhatIsExpected) { OnEveryTarget(ExpectErrors); }

TEST(SplitProductsTest, AColumnHasTheBitsThatItHasAlone) {
  OnEveryTarget(ExpectBitsOfAColumnAlone);
}

}  // namespace
}  // namespace steelyard::test
