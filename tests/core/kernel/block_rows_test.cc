#include "kernel/block_rows.h"

#include <cmath>

#include "gtest/gtest.h"
#include "tests/support/kernel_problems.h"

namespace steelyard {
namespace {

class BlockRowsTest : public testing::TestWithParam<KernelNormalization> {
 protected:
  // More than one tile of 240 rows, not whole strips.
  static constexpr Index kN = 700;

  KernelProblem Load(Index d, const ComputeContext& context) const {
    return test::LoadProblem(
        test::RowsOfNorm(kN, d, 1.5, 1), test::RowsOfNorm(kN, 1, 1.0, 2),
        {.normalization = GetParam(), .ridge = 0.1}, context);
  }

  static std::vector<Index> Block(Index size) {
    std::vector<Index> block;
    for (Index i = 0; i < size; ++i) block.push_back((i * 37 + 11) % kN);
    return block;
  }

  Workers workers_{2};
  ComputeContext context_{.workers = workers_};
};

TEST_P(BlockRowsTest, ColumnsAreTheProductWithAVectorThatIsZeroElsewhere) {
  // 300 coordinates: two rounds of a tile.
  for (const Index d : {5, 300}) {
    const KernelProblem problem = Load(d, context_);
    KernelProduct product = test::ProductOf(problem);
    ScaledSystem system(problem.rows(), problem.form(), product);
    const std::vector<Index> block = Block(250);
    const Matrix<double> step = test::RowsOfNorm(3, 250, 1.0, 3);
    Matrix<double> v(3, kN);
    double size = 0.0;
    for (Index c = 0; c < 3; ++c) {
      for (Index j = 0; j < 250; ++j) {
        v(c, block[static_cast<std::size_t>(j)]) = step(c, j);
        size += std::abs(step(c, j));
      }
    }
    Matrix<double> all(3, kN);
    ASSERT_TRUE(system.Apply(v, TilePrecision::kFloat64, all, context_).ok());
    BlockRows rows(problem.rows(), problem.form());
    for (const auto precision :
         {TilePrecision::kFloat64, TilePrecision::kFloat32}) {
      Matrix<double> out(3, kN);
      out(2, 7) = 1.0;  // added to
      ASSERT_TRUE(rows.AddColumns(block, step, precision, out, context_).ok());
      // 4 u s|a - c|^2 of each entry and the sums: N3.
      const double u =
          precision == TilePrecision::kFloat64 ? kUnitRoundoff : 0x1p-24;
      const double bound =
          u * (1.0 + size) * (64.0 + 8.0 * problem.rows().logit_max);
      for (Index c = 0; c < 3; ++c) {
        for (Index i = 0; i < kN; ++i) {
          const double before = c == 2 && i == 7 ? 1.0 : 0.0;
          ASSERT_NEAR(out(c, i), before + all(c, i), bound) << c << " " << i;
        }
      }
    }
  }
}

TEST_P(BlockRowsTest, SquareHoldsTheEntriesBetweenThem) {
  const KernelProblem problem = Load(5, context_);
  KernelProduct product = test::ProductOf(problem);
  ScaledSystem system(problem.rows(), problem.form(), product);
  const std::vector<Index> block = Block(250);
  const BlockRows rows(problem.rows(), problem.form());
  const auto square = rows.Square<double>(block, context_);
  const auto square32 = rows.Square<float>(block, context_);
  ASSERT_TRUE(square.ok() && square32.ok());
  // Columns of S_BB as rows of the product with unit vectors.
  const double size = 64.0 + 8.0 * problem.rows().logit_max;
  for (const Index column : {0, 63, 239, 249}) {
    Matrix<double> unit(1, kN);
    unit(0, block[static_cast<std::size_t>(column)]) = 1.0;
    Matrix<double> out(1, kN);
    ASSERT_TRUE(
        system.Apply(unit, TilePrecision::kFloat64, out, context_).ok());
    for (Index i = 0; i <= column; ++i) {
      const double entry = out(0, block[static_cast<std::size_t>(i)]);
      EXPECT_NEAR((*square)(i, column), entry, kUnitRoundoff * size);
      EXPECT_NEAR((*square32)(i, column), entry, 0x1p-24 * size);
    }
    EXPECT_EQ((*square)(column, column), 1.0);
  }
}

TEST_P(BlockRowsTest, BitsDoNotDependOnTheWorkers) {
  const KernelProblem problem = Load(5, context_);
  const std::vector<Index> block = Block(250);
  const Matrix<double> step = test::RowsOfNorm(2, 250, 1.0, 3);
  const Workers one(1);
  Matrix<double> out[2] = {Matrix<double>(2, kN), Matrix<double>(2, kN)};
  BlockRows rows(problem.rows(), problem.form());
  ASSERT_TRUE(
      rows.AddColumns(block, step, TilePrecision::kFloat32, out[0], context_)
          .ok());
  ASSERT_TRUE(rows.AddColumns(block, step, TilePrecision::kFloat32, out[1],
                              {.workers = one})
                  .ok());
  for (Index i = 0; i < out[0].size(); ++i) {
    ASSERT_EQ(out[0].data()[i], out[1].data()[i]);
  }
}

INSTANTIATE_TEST_SUITE_P(All, BlockRowsTest,
                         testing::Values(KernelNormalization::kNone,
                                         KernelNormalization::kUnitDiagonal,
                                         KernelNormalization::kSoftmaxRows));

}  // namespace
}  // namespace steelyard
