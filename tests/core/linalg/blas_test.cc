#include "linalg/blas.h"

#include <limits>

#include "gtest/gtest.h"
#include "steelyard/random.h"

namespace steelyard {
namespace {

template <typename T>
Matrix<T> Random(Index rows, Index cols, std::uint64_t stream) {
  const RandomStream random{.seed = {5}, .stream = stream};
  Matrix<T> matrix(rows, cols);
  for (Index i = 0; i < matrix.size(); ++i) {
    matrix.data()[i] =
        static_cast<T>(random.Normal(static_cast<std::uint64_t>(i)));
  }
  return matrix;
}

template <typename T>
T At(const Operand<T>& a, Index i, Index j) {
  return a.transposed ? a.block(j, i) : a.block(i, j);
}

// Entry (i, j) of op(A) op(B) in long double.
template <typename T>
long double Product(const Operand<T>& a, const Operand<T>& b, Index i,
                    Index j) {
  long double sum = 0.0L;
  for (Index k = 0; k < a.cols(); ++k) {
    sum += static_cast<long double>(At(a, i, k)) * At(b, k, j);
  }
  return sum;
}

// Inner products of `terms` standard normals: Higham, (3.5), with factors that
// stay below 6 for the few thousand numbers drawn here.
template <typename T>
double ProductBound(Index terms) {
  return 36.0 * static_cast<double>(terms * (terms + 2)) *
         static_cast<double>(std::numeric_limits<T>::epsilon());
}

template <typename T>
class BlasTest : public testing::Test {};
using Scalars = testing::Types<double, float>;
TYPED_TEST_SUITE(BlasTest, Scalars);

TYPED_TEST(BlasTest, GemmMultipliesPartsInEveryOrientation) {
  using T = TypeParam;
  const Matrix<T> a = Random<T>(9, 12, 1);
  const Matrix<T> b = Random<T>(12, 9, 2);
  const Block<const T> a_part = BlockOf(a).Part(1, 2, 6, 6);
  const Block<const T> b_part = BlockOf(b).Part(3, 1, 6, 6);
  for (const bool a_turned : {false, true}) {
    for (const bool b_turned : {false, true}) {
      Operand<T> left(a_part);
      left.transposed = a_turned;
      Operand<T> right(b_part);
      right.transposed = b_turned;
      Matrix<T> c = Random<T>(8, 8, 3);
      const Matrix<T> before = c;
      Gemm(T{2}, left, right, T{-1}, BlockOf(c).Part(1, 1, 6, 6));
      for (Index i = 0; i < 8; ++i) {
        for (Index j = 0; j < 8; ++j) {
          const bool inside = i >= 1 && i < 7 && j >= 1 && j < 7;
          const double wanted =
              inside ? static_cast<double>(
                           2.0L * Product(left, right, i - 1, j - 1) -
                           static_cast<long double>(before(i, j)))
                     : static_cast<double>(before(i, j));
          EXPECT_NEAR(c(i, j), wanted, ProductBound<T>(8));
        }
      }
    }
  }
}

TYPED_TEST(BlasTest, SyrkWritesTheUpperTriangleOnly) {
  using T = TypeParam;
  const Matrix<T> a = Random<T>(20, 5, 1);
  const Operand<T> turned = Transposed(BlockOf(a));
  Matrix<T> c(5, 5);
  SyrkUpper(T{1}, turned, T{0}, BlockOf(c));
  for (Index i = 0; i < 5; ++i) {
    for (Index j = 0; j < 5; ++j) {
      const double wanted = j < i ? 0.0
                                  : static_cast<double>(Product(
                                        turned, Operand<T>(BlockOf(a)), i, j));
      EXPECT_NEAR(c(i, j), wanted, ProductBound<T>(20));
    }
  }
}

TYPED_TEST(BlasTest, TrsmUndoesTrmmOnBothSides) {
  using T = TypeParam;
  Matrix<T> u = Random<T>(6, 6, 1);
  for (Index i = 0; i < 6; ++i) {
    u(i, i) = T{8};
    // Never read: a NaN would spread.
    for (Index j = 0; j < i; ++j) u(i, j) = std::numeric_limits<T>::quiet_NaN();
  }
  for (const Side side : {Side::kLeft, Side::kRight}) {
    for (const bool turned : {false, true}) {
      Operand<T> upper(BlockOf(u));
      upper.transposed = turned;
      const Matrix<T> b = Random<T>(6, 6, 2);
      Matrix<T> x = b;
      TrmmUpper(side, upper, BlockOf(x));
      TrsmUpper(side, upper, BlockOf(x));
      for (Index i = 0; i < b.size(); ++i) {
        EXPECT_NEAR(x.data()[i], b.data()[i], ProductBound<T>(6));
      }
    }
  }
}

TEST(PotrfTest, NamesTheFirstBadPivot) {
  Matrix<double> a(4, 4);
  for (Index i = 0; i < 4; ++i) a(i, i) = 4.0;
  EXPECT_EQ(PotrfUpper(BlockOf(a)), -1);
  EXPECT_EQ(a(3, 3), 2.0);
  a(2, 2) = -1.0;
  EXPECT_EQ(PotrfUpper(BlockOf(a)), 2);
  a(0, 0) = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(PotrfUpper(BlockOf(a)), 0);
}

}  // namespace
}  // namespace steelyard
