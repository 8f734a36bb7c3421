#include "linalg/column_products.h"

#include <cmath>
#include <cstring>
#include <tuple>
#include <vector>

#include "gtest/gtest.h"
#include "linalg/triangular.h"
#include "steelyard/random.h"
#include "tests/support/bounds.h"
#include "tests/support/every_target.h"

namespace steelyard {
namespace {

constexpr Index kMostColumns = 72;

Matrix<double> Normal(Index rows, Index cols, std::uint64_t stream) {
  const RandomStream random{.seed = {7}, .stream = stream};
  Matrix<double> m(rows, cols);
  for (Index i = 0; i < m.size(); ++i) {
    m.data()[i] = random.Normal(static_cast<std::uint64_t>(i));
  }
  return m;
}

// Diagonal near 2, the rest small, NaN below: nobody may read that.
Matrix<double> Upper(Index n) {
  Matrix<double> r = Normal(n, n, 5);
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < n; ++j) {
      r(i, j) = j < i ? std::nan("") : r(i, j) / static_cast<double>(4 * n);
    }
    r(i, i) = 2.0 + r(i, i);
  }
  return r;
}

// `cols` columns of `all` from `first` on.
Matrix<double> Columns(const Matrix<double>& all, Index first, Index cols) {
  Matrix<double> part(all.rows(), cols);
  for (Index i = 0; i < all.rows(); ++i) {
    for (Index c = 0; c < cols; ++c) part(i, c) = all(i, first + c);
  }
  return part;
}

bool SameBits(const Matrix<double>& a, const Matrix<double>& b) {
  return std::memcmp(a.data(), b.data(),
                     sizeof(double) * static_cast<std::size_t>(a.size())) == 0;
}

// Rows, inner index.
using Shape = std::tuple<Index, Index>;

class ColumnProductsTest : public testing::TestWithParam<Shape> {
 protected:
  Index rows() const { return std::get<0>(GetParam()); }
  Index depth() const { return std::get<1>(GetParam()); }
};

TEST_P(ColumnProductsTest, IsTheProductAndOneColumnHasTheBitsOfMany) {
  const Workers workers(3);
  const Matrix<double> a = Normal(rows(), depth(), 1);
  const Matrix<double> turned = Normal(depth(), rows(), 1);
  const Matrix<double> b = Normal(depth(), kMostColumns, 2);
  test::OnEveryTarget([&] {
    for (const bool transposed : {false, true}) {
      const Operand<double> left = transposed ? Transposed(BlockOf(turned))
                                              : Operand<double>(BlockOf(a));
      Matrix<double> all(rows(), kMostColumns);
      ASSERT_TRUE(
          MultiplyColumns(left, BlockOf(b), BlockOf(all), {workers}).ok());
      for (Index i = 0; i < rows(); i += 7) {
        long double sum = 0.0L;
        double size = 0.0;
        for (Index k = 0; k < depth(); ++k) {
          const double x = transposed ? turned(k, i) : a(i, k);
          sum += static_cast<long double>(x) * b(k, 3);
          size += std::abs(x * b(k, 3));
        }
        EXPECT_NEAR(all(i, 3), static_cast<double>(sum),
                    test::Gamma(2 * depth()) * size);
      }
      for (Index cols = kColumnGroup; cols < kMostColumns;
           cols += kColumnGroup) {
        const Index first = kMostColumns - cols - 3;
        const Matrix<double> part = Columns(b, first < 0 ? 0 : first, cols);
        Matrix<double> some(rows(), cols);
        ASSERT_TRUE(
            MultiplyColumns(left, BlockOf(part), BlockOf(some), {workers})
                .ok());
        EXPECT_TRUE(SameBits(some, Columns(all, first < 0 ? 0 : first, cols)))
            << cols;
      }
    }
  });
}

TEST_P(ColumnProductsTest, SubtractingUndoesAddingWhatIsExact) {
  // Small integers: every sum is exact.
  const Index k = 2 * kColumnGroup;
  Matrix<double> a(rows(), depth());
  Matrix<double> b(depth(), k);
  Matrix<double> c(rows(), k);
  for (Index i = 0; i < a.size(); ++i)
    a.data()[i] = static_cast<double>(1 + i % 5);
  for (Index i = 0; i < b.size(); ++i)
    b.data()[i] = static_cast<double>(1 + i % 7);
  for (Index i = 0; i < c.size(); ++i) c.data()[i] = static_cast<double>(i);
  const Matrix<double> before = c;
  test::OnEveryTarget([&] {
    AddProduct(BlockOf(std::as_const(a)), BlockOf(std::as_const(b)),
               BlockOf(c));
    EXPECT_FALSE(SameBits(c, before));
    SubtractProduct(BlockOf(std::as_const(a)), BlockOf(std::as_const(b)),
                    BlockOf(c));
    EXPECT_TRUE(SameBits(c, before));
  });
}

TEST_P(ColumnProductsTest, SolvingUndoesTheProductAndDoesNotSeeTheNeighbours) {
  const Index n = depth();
  const Workers workers(3);
  const Matrix<double> r = Upper(n);
  const Matrix<double> x = Normal(n, kMostColumns, 4);
  test::OnEveryTarget([&] {
    for (const bool transposed : {false, true}) {
      const Operand<double> upper =
          transposed ? Transposed(BlockOf(r)) : Operand<double>(BlockOf(r));
      Matrix<double> b(n, kMostColumns);
      ASSERT_TRUE(MultiplyUpper(upper, BlockOf(x), BlockOf(b), {workers}).ok());
      Matrix<double> all = b;
      ASSERT_TRUE(SolveColumns(upper, BlockOf(all), {workers}).ok());
      for (Index i = 0; i < x.size(); ++i) {
        // Higham, Theorem 8.5, for solve and product; |R^-1||R| < 2.
        EXPECT_NEAR(all.data()[i], x.data()[i], 64.0 * test::Gamma(n));
      }
      for (const Index first : {0, 5, 64}) {
        Matrix<double> some = Columns(b, first, kColumnGroup);
        ASSERT_TRUE(SolveColumns(upper, BlockOf(some), {workers}).ok());
        EXPECT_TRUE(SameBits(some, Columns(all, first, kColumnGroup)));
      }
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Shapes, ColumnProductsTest,
                         testing::Values(Shape{1, 1}, Shape{7, 3}, Shape{8, 16},
                                         Shape{33, 17}, Shape{300, 40},
                                         Shape{9, 600}));

TEST(ColumnProductsStopTest, StopsBetweenTasks) {
  const Workers workers(1);
  StopSource source;
  source.RequestStop(StopReason::kCancelled);
  const Matrix<double> r = Upper(40);
  Matrix<double> b = Normal(40, 8, 1);
  Matrix<double> c(40, 8);
  EXPECT_EQ(
      SolveColumns(BlockOf(r), BlockOf(b), {workers, source.token()}).code(),
      absl::StatusCode::kCancelled);
  EXPECT_EQ(MultiplyColumns(BlockOf(r), BlockOf(b), BlockOf(c),
                            {workers, source.token()})
                .code(),
            absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace steelyard
