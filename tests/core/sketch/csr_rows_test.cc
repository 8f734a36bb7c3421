#include "sketch/csr_rows.h"

#include <cmath>

#include "gtest/gtest.h"
#include "tests/core/sketch/sparse_matrices.h"

namespace steelyard {
namespace {

template <typename T>
class CsrRowsTest : public testing::Test {};
using Storages = testing::Types<double, float, Half, BFloat16>;
TYPED_TEST_SUITE(CsrRowsTest, Storages);

// 40 rows: row i has the first i columns of 20, at most.
Matrix<double> Staircase() {
  Matrix<double> dense = test::NormalMatrix(40, 20, {5});
  for (Index i = 0; i < 40; ++i) {
    for (Index c = i % 21; c < 20; ++c) dense(i, c) = 0.0;
  }
  return dense;
}

TYPED_TEST(CsrRowsTest, BlocksHoldTheRowsScaled) {
  const Matrix<double> dense = Staircase();
  const test::CsrMatrix<TypeParam> csr(dense);
  for (const int exponent : {0, 3, -1070}) {
    const std::vector<int> exponents(20, exponent);
    const CsrRows rows(AnyCsrView(csr.view()), exponents);
    AlignedVector<double> values;
    for (Index first = 0; first < 40;) {
      const CsrBlock block = rows.Load(first, 40, 7, 60, values);
      ASSERT_EQ(block.first, first);
      ASSERT_GE(block.rows, 1);
      ASSERT_LE(block.rows, 7);
      EXPECT_LE(block.offsets[block.rows] - block.offsets[0], 60);
      for (Index i = 0; i < block.rows; ++i) {
        for (std::int64_t e = block.offsets[i]; e < block.offsets[i + 1]; ++e) {
          const std::int64_t at = e - block.offsets[0];
          const double stored = test::ValueOf(
              test::RoundTo<TypeParam>(dense(first + i, block.columns[at])));
          EXPECT_EQ(block.values[at], std::ldexp(stored, -exponent));
        }
      }
      first += block.rows;
    }
  }
}

TYPED_TEST(CsrRowsTest, ARowLongerThanABlockComesAlone) {
  const test::CsrMatrix<TypeParam> csr(Staircase());
  const CsrRows rows(AnyCsrView(csr.view()), {});
  AlignedVector<double> values;
  EXPECT_EQ(rows.Load(20, 40, 7, 5, values).rows, 1);
  EXPECT_EQ(rows.Load(39, 40, 7, 500, values).rows, 1);
}

}  // namespace
}  // namespace steelyard
