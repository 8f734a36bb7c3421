#include "kernel/block_rows.h"

#include <cmath>

#include "gtest/gtest.h"
#include "tests/support/kernel_problems.h"

namespace steelyard {
namespace {

class BlockRowsTest : public testing::TestWithParam<KernelNormalization> {
 protected:
  // More than one tile of 512 columns, more than one of 64 rows.
  static constexpr Index kN = 700;
  Workers workers_{2};
  ComputeContext context_{.workers = workers_};
};

TEST_P(BlockRowsTest, AreRowsOfTheProductWithAll) {
  const KernelProblem problem = test::LoadProblem(
      test::RowsOfNorm(kN, 5, 1.5, 1), test::RowsOfNorm(kN, 1, 1.0, 2),
      {.normalization = GetParam(), .ridge = 0.1}, context_);
  KernelProduct product = test::ProductOf(problem);
  ScaledSystem system(problem.rows(), problem.form(), product);
  const Matrix<double> v = test::RowsOfNorm(3, kN, 1.0, 3);
  Matrix<double> all(3, kN);
  ASSERT_TRUE(system.Apply(v, TilePrecision::kFloat64, all, context_).ok());
  std::vector<Index> block;
  for (Index i = 0; i < 100; ++i) block.push_back((i * 37 + 11) % kN);
  double size = 0.0;
  for (Index j = 0; j < kN; ++j) size += std::abs(v(0, j));
  for (const auto precision :
       {TilePrecision::kFloat64, TilePrecision::kFloat32}) {
    const BlockRows rows(problem.rows(), problem.form(), precision);
    Matrix<double> out(3, 100);
    ASSERT_TRUE(rows.Multiply(block, v, out, context_).ok());
    // 4 u s|a - c|^2 of each entry and the sums: N3.
    const double u =
        precision == TilePrecision::kFloat64 ? kUnitRoundoff : 0x1p-24;
    const double bound = u * size * (64.0 + 8.0 * problem.rows().logit_max);
    for (Index c = 0; c < 3; ++c) {
      for (Index i = 0; i < 100; ++i) {
        EXPECT_NEAR(out(c, i), all(c, block[static_cast<std::size_t>(i)]),
                    bound);
      }
    }
  }
}

TEST_P(BlockRowsTest, SquareHoldsTheEntriesBetweenThem) {
  const KernelProblem problem = test::LoadProblem(
      test::RowsOfNorm(kN, 5, 1.5, 1), test::RowsOfNorm(kN, 1, 1.0, 2),
      {.normalization = GetParam(), .ridge = 0.1}, context_);
  std::vector<Index> block;
  for (Index i = 0; i < 90; ++i) block.push_back((i * 53 + 7) % kN);
  const BlockRows rows(problem.rows(), problem.form(), TilePrecision::kFloat64);
  const auto square = rows.Square(block, context_);
  ASSERT_TRUE(square.ok());
  // Columns of S_BB as rows of the product with unit vectors.
  const double bound = kUnitRoundoff * (64.0 + 8.0 * problem.rows().logit_max);
  for (const Index column : {0, 63, 64, 89}) {
    Matrix<double> unit(1, kN);
    unit(0, block[static_cast<std::size_t>(column)]) = 1.0;
    Matrix<double> out(1, 90);
    ASSERT_TRUE(rows.Multiply(block, unit, out, context_).ok());
    for (Index i = 0; i <= column; ++i) {
      EXPECT_NEAR((*square)(i, column), out(0, i), bound);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, BlockRowsTest,
                         testing::Values(KernelNormalization::kNone,
                                         KernelNormalization::kUnitDiagonal,
                                         KernelNormalization::kSoftmaxRows));

}  // namespace
}  // namespace steelyard
