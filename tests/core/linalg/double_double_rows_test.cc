#include "linalg/double_double_rows.h"

#include <gtest/gtest.h>

#include "linalg/double_double.h"
#include "tests/support/matrices.h"

namespace steelyard::test {
namespace {

// Error of a sum of `terms` products whose absolute values add up to `size`:
// Ogita, Rump, Oishi, Prop. 5.5: gamma^2 size.
double DotBound(Index terms, double size) {
  const double n = static_cast<double>(terms);
  return 4.0 * n * n * 0x1p-106 * size;
}

class DoubleDoubleRowsTest : public testing::TestWithParam<Index> {};

// Lengths around the lanes of every target, with and without a tail.
INSTANTIATE_TEST_SUITE_P(Lengths, DoubleDoubleRowsTest,
                         testing::Values(1, 2, 3, 7, 8, 9, 16, 31, 64, 131));

TEST_P(DoubleDoubleRowsTest, DotsAgreeWithScalarDoubleDouble) {
  const Index d = GetParam();
  const Index count = 7;
  const Matrix<double> a = NormalMatrix(count, d, Seed{1});
  const Matrix<double> hi = NormalMatrix(1, d, Seed{2});
  Matrix<double> lo = NormalMatrix(1, d, Seed{3});
  for (Index j = 0; j < d; ++j) lo(0, j) *= 0x1p-55;
  std::vector<double> y_hi(7);
  std::vector<double> y_lo(7);

  DotRows({a.data(), count, d}, hi.data(), lo.data(), y_hi.data(), y_lo.data());

  for (Index i = 0; i < count; ++i) {
    DoubleDouble expected;
    double size = 0.0;
    for (Index j = 0; j < d; ++j) {
      expected = Add(expected, Multiply(a(i, j), {hi(0, j), lo(0, j)}));
      size += std::abs(a(i, j) * hi(0, j));
    }
    const auto at = static_cast<std::size_t>(i);
    const DoubleDouble difference = Subtract(expected, {y_hi[at], y_lo[at]});
    EXPECT_NEAR(difference.hi, 0.0, DotBound(d, size)) << "row " << i;
  }
}

TEST_P(DoubleDoubleRowsTest, SumsAgreeWithScalarDoubleDouble) {
  const Index d = GetParam();
  const Index count = 11;
  const Matrix<double> a = NormalMatrix(count, d, Seed{4});
  const Matrix<double> y = NormalMatrix(1, count, Seed{5});
  Matrix<double> y_lo = NormalMatrix(1, count, Seed{6});
  for (Index i = 0; i < count; ++i) y_lo(0, i) *= 0x1p-55;
  std::vector<double> hi(static_cast<std::size_t>(d), 1.0);
  std::vector<double> lo(static_cast<std::size_t>(d), 0x1p-70);

  AddRows({a.data(), count, d}, y.data(), y_lo.data(), hi.data(), lo.data());

  for (Index j = 0; j < d; ++j) {
    DoubleDouble expected{1.0, 0x1p-70};
    double size = 1.0;
    for (Index i = 0; i < count; ++i) {
      expected = Add(expected, Multiply(a(i, j), {y(0, i), y_lo(0, i)}));
      size += std::abs(a(i, j) * y(0, i));
    }
    const auto at = static_cast<std::size_t>(j);
    const DoubleDouble sum = TwoSum(hi[at], lo[at]);
    EXPECT_NEAR(Subtract(expected, sum).hi, 0.0, DotBound(count, size));
  }
}

TEST(DoubleDoubleRowsTest, NothingIsLostToCancellation) {
  const std::vector<double> row{0x1p50, 1.0, -0x1p50, 0x1p-60, 3.0};
  const std::vector<double> z{1.0 + 0x1p-52, 0x1p-40, 1.0 + 0x1p-52, 1.0, 0.0};
  const std::vector<double> zero(5, 0.0);
  double hi = 0.0;
  double lo = 0.0;
  DotRows({row.data(), 1, 5}, z.data(), zero.data(), &hi, &lo);
  EXPECT_EQ(hi, 0x1p-40 + 0x1p-60);
  EXPECT_EQ(lo, 0.0);
}

}  // namespace
}  // namespace steelyard::test
