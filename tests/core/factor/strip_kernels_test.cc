#include "factor/strip_kernels.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/bounds.h"
#include "tests/support/every_target.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

using test::OnEveryTarget;

// A matrix as strips, in memory that was never zero.
template <typename T>
struct Strips {
  AlignedVector<T> numbers;
  StripBlock<T> block;

  Strips(Index rows, Index cols)
      : numbers(static_cast<std::size_t>(
                    StripSize<T>(StripRows(rows), StripsFor<T>(cols))),
                T{-7}),
        block{numbers.data(), StripRows(rows), StripsFor<T>(cols)} {}

  template <KeyScalar In>
  Strips(const MatrixView<In>& a, const std::vector<double>& factors)
      : Strips(a.rows(), a.cols()) {
    PackStrips(a.data(), a.cols(), factors.data(), a.rows(), a.cols(), block);
  }

  double operator()(Index i, Index c) const {
    constexpr Index kWidth = kStripColumns<T>;
    return block.strip(c / kWidth)[i * kWidth + c % kWidth];
  }
};

std::vector<double> Ones(Index count) {
  return std::vector<double>(static_cast<std::size_t>(count), 1.0);
}

template <typename T>
class StripKernelsTest : public testing::Test {};
using Storages = testing::Types<double, float, Half, BFloat16>;
TYPED_TEST_SUITE(StripKernelsTest, Storages);

TYPED_TEST(StripKernelsTest, PackingMeasuresRowsAndPacksTheSame) {
  OnEveryTarget([] {
    for (const Index cols : {1, 7, 8, 9, 40}) {
      const auto a = test::Stored<TypeParam>(test::NormalMatrix(5, cols, {59}));
      std::vector<double> factors;
      std::vector<double> weights;
      for (Index c = 0; c < cols; ++c) {
        factors.push_back(std::ldexp(1.0, static_cast<int>(c % 3)));
        weights.push_back(std::ldexp(1.0, -static_cast<int>(c % 5)));
      }
      const Strips<double> plain(a.view(), factors);
      Strips<double> measured(5, cols);
      std::vector<double> squares(5, -1.0);
      PackStrips(a.view().data(), cols, factors.data(), weights.data(), 5, cols,
                 measured.block, squares.data());
      for (Index i = 0; i < 5; ++i) {
        double square = 0.0;
        for (Index c = 0; c < cols; ++c) {
          EXPECT_EQ(measured(i, c), plain(i, c));
          square += std::pow(plain(i, c) * weights[std::size_t(c)], 2);
        }
        EXPECT_NEAR(squares[std::size_t(i)], square,
                    2.0 * test::Gamma(cols + 2) * square);
      }
    }
  });
}

TYPED_TEST(StripKernelsTest, PackingScalesAndFillsUpWithZeros) {
  OnEveryTarget([] {
    for (const Index cols : {1, 2, 7, 8, 9, 15, 16, 17, 40}) {
      const auto a = test::Stored<TypeParam>(test::NormalMatrix(5, cols, {51}));
      std::vector<double> factors;
      for (Index c = 0; c < cols; ++c) {
        factors.push_back(std::ldexp(1.0, static_cast<int>(c % 19) - 9));
      }
      const Strips<double> wide(a.view(), factors);
      const Strips<float> narrow(a.view(), factors);
      EXPECT_EQ(wide.block.rows, 8);
      for (Index i = 0; i < 8; ++i) {
        for (Index c = 0; c < wide.block.strips * 8; ++c) {
          const bool there = i < 5 && c < cols;
          const double wanted =
              there ? a(i, c) * factors[static_cast<std::size_t>(c)] : 0.0;
          EXPECT_EQ(wide(i, c), wanted);
          EXPECT_EQ(narrow(i, c),
                    static_cast<double>(static_cast<float>(wanted)));
        }
      }
    }
  });
}

TEST(MultiplyStripsTest, EntriesAreWithinTheBoundOfAPlainProduct) {
  OnEveryTarget([] {
    for (const Index d : {1, 8, 13, 24, 31, 48, 65}) {
      const Index rows = d % 2 == 0 ? 16 : 11;
      const Matrix<double> k = test::NormalMatrix(rows, d, {81});
      Matrix<double> b = test::NormalMatrix(d, d, {82});
      for (Index i = 0; i < d; ++i) {
        for (Index j = 0; j < i; ++j) b(i, j) = 0.0;
      }
      Strips<double> right(StripsFor<double>(d) * kStripColumns<double>, d);
      PackStrips(static_cast<const double*>(b.data()), d, Ones(d).data(), d, d,
                 right.block);
      const Strips<double> left(k.view(), Ones(d));
      // More rows than K has: those stay as they are.
      Strips<double> out(40, d);
      const Index first = right.block.strips / 3;
      MultiplyStrips(left.block, right.block, first, right.block.strips,
                     out.block);
      for (Index i = 0; i < 40; ++i) {
        for (Index j = 0; j < d; ++j) {
          if (i >= left.block.rows || j < first * kStripColumns<double>) {
            EXPECT_EQ(out(i, j), -7.0);
            continue;
          }
          long double sum = 0.0L;
          long double size = 0.0L;
          for (Index c = 0; i < rows && c < d; ++c) {
            const long double term =
                static_cast<long double>(k(i, c)) * b(c, j);
            sum += term;
            size += std::abs(term);
          }
          EXPECT_NEAR(static_cast<double>(out(i, j) - sum), 0.0,
                      test::Gamma(d) * static_cast<double>(size));
        }
      }
    }
  });
}

TYPED_TEST(StripKernelsTest, RowNormsAreWithinTheBoundOfAPlainProduct) {
  OnEveryTarget([] {
    for (const Index d : {1, 3, 8, 13, 16, 24, 25, 31, 48, 65}) {
      for (const bool upper : {true, false}) {
        const Index rows = d % 2 == 0 ? 16 : 11;
        const Index cols = upper ? d : d + 5;
        const auto k =
            test::Stored<TypeParam>(test::NormalMatrix(rows, d, {1}));
        Matrix<double> b = test::NormalMatrix(d, cols, {2});
        for (Index i = 0; upper && i < d; ++i) {
          for (Index j = 0; j < i; ++j) b(i, j) = 0.0;
        }
        const auto check = [&](auto zero, double roundoff) {
          using T = decltype(zero);
          Strips<T> right(StripsFor<T>(d) * kStripColumns<T>, cols);
          PackStrips(static_cast<const double*>(b.data()), cols,
                     Ones(cols).data(), d, cols, right.block);
          const Strips<T> left(k.view(), Ones(d));
          AlignedVector<T> sums(
              static_cast<std::size_t>(left.block.rows * kStripColumns<T>));
          std::vector<T> norms(static_cast<std::size_t>(rows), T{-1});
          // Columns before `first` are left out.
          const Index first = d % 3 == 0 ? right.block.strips / 2 : 0;
          RowNorms(left.block, right.block, upper, first, rows, sums.data(),
                   norms.data());
          for (Index i = 0; i < rows; ++i) {
            long double norm = 0.0L;
            long double size = 0.0L;
            for (Index j = first * kStripColumns<T>; j < cols; ++j) {
              long double x = 0.0L;
              long double absolute = 0.0L;
              for (Index c = 0; c < d; ++c) {
                x += static_cast<long double>(k(i, c)) * b(c, j);
                absolute +=
                    std::abs(static_cast<long double>(k(i, c)) * b(c, j));
              }
              norm += x * x;
              size += absolute * absolute;
            }
            // Each x within gamma_(d+2) of |k|'|B| (d products, and rounding of
            // both factors), then squares and their sum: gamma_(cols+1).
            const double depth = static_cast<double>(2 * (d + 2) + cols + 1);
            EXPECT_NEAR(static_cast<double>(norms[static_cast<std::size_t>(i)]),
                        static_cast<double>(norm),
                        1.01 * depth * roundoff * static_cast<double>(size))
                << "d " << d << " row " << i;
          }
        };
        check(double{}, test::kUnitRoundoff);
        check(float{}, 0x1p-24);
      }
    }
  });
}

TEST(RowSquaresTest, AddsTheLeadingStrips) {
  OnEveryTarget([] {
    const Matrix<double> a = test::NormalMatrix(11, 37, {7});
    const Strips<float> strips(a.view(), Ones(37));
    for (const Index count : {0, 1, 2, 3}) {
      float squares[11];
      RowSquares(strips.block, count, 11, squares);
      for (Index i = 0; i < 11; ++i) {
        double wanted = 0.0;
        for (Index c = 0; c < std::min<Index>(count * 16, 37); ++c) {
          wanted += strips(i, c) * strips(i, c);
        }
        // At most 37 + 2 roundings to float32.
        EXPECT_NEAR(static_cast<double>(squares[i]), wanted,
                    wanted * 39 * 0x1p-24);
      }
    }
  });
}

TEST(AddGramTest, AddsTheProductToWhatIsThere) {
  OnEveryTarget([] {
    for (const Index rows : {1, 7, 8, 19}) {
      for (const auto& [left_cols, cols] :
           {std::pair<Index, Index>{1, 1}, {5, 9}, {8, 24}, {33, 31}}) {
        const Matrix<double> a = test::NormalMatrix(rows, left_cols, {3});
        const Matrix<double> b = test::NormalMatrix(rows, cols, {4});
        const Strips<double> left(a.view(), Ones(left_cols));
        const Strips<double> right(b.view(), Ones(cols));
        Matrix<double> hi(left.block.strips * 8, right.block.strips * 8);
        Matrix<double> lo(hi.rows(), hi.cols());
        for (Index i = 0; i < hi.size(); ++i) hi.data()[i] = 0x1p60;
        AddGram(left.block, right.block, false, BlockOf(hi), BlockOf(lo));
        for (Index i = 0; i < left_cols; ++i) {
          for (Index j = 0; j < cols; ++j) {
            long double sum = 0.0L;
            long double size = 0.0L;
            for (Index k = 0; k < rows; ++k) {
              sum += static_cast<long double>(a(k, i)) * b(k, j);
              size += std::abs(static_cast<long double>(a(k, i)) * b(k, j));
            }
            // What the large number swallowed is in lo.
            const double added = (hi(i, j) - 0x1p60) + lo(i, j);
            EXPECT_NEAR(added, static_cast<double>(sum),
                        test::Gamma(rows + 1) * static_cast<double>(size));
          }
        }
      }
    }
  });
}

TEST(AddGramTest, UpperIsTheSameAsWholeAndLeavesTheRestAlone) {
  OnEveryTarget([] {
    for (const Index cols : {1, 8, 17, 24, 40, 72}) {
      const Matrix<double> a = test::NormalMatrix(21, cols, {5});
      const Strips<double> strips(a.view(), Ones(cols));
      const Index order = strips.block.strips * 8;
      Matrix<double> whole(order, order);
      Matrix<double> upper(order, order);
      Matrix<double> lo(order, order);
      AddGram(strips.block, strips.block, false, BlockOf(whole), BlockOf(lo));
      AddGram(strips.block, strips.block, true, BlockOf(upper), BlockOf(lo));
      for (Index i = 0; i < order; ++i) {
        for (Index j = 0; j < order; ++j) {
          const bool below = j / 8 < i / 8;
          EXPECT_EQ(upper(i, j), below ? 0.0 : whole(i, j));
        }
      }
    }
  });
}

TEST(AddGramTest, WhatIsNotFiniteReachesTheDiagonal) {
  OnEveryTarget([] {
    for (const double bad : {std::numeric_limits<double>::quiet_NaN(),
                             std::numeric_limits<double>::infinity(),
                             -std::numeric_limits<double>::infinity()}) {
      for (const Index at : {0, 10, 18}) {
        Matrix<double> a = test::NormalMatrix(9, 19, {6});
        a(at % 9, at) = bad;
        const Strips<double> strips(a.view(), Ones(19));
        Matrix<double> hi(24, 24);
        Matrix<double> lo(24, 24);
        AddGram(strips.block, strips.block, true, BlockOf(hi), BlockOf(lo));
        for (Index c = 0; c < 19; ++c) {
          EXPECT_EQ(std::isfinite(hi(c, c) + lo(c, c)), c != at);
        }
      }
    }
  });
}

}  // namespace
}  // namespace steelyard
