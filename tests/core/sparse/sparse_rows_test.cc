#include "sparse/sparse_rows.h"

#include <gtest/gtest.h>

#include "tests/core/sparse/sparse_matrix.h"

namespace steelyard::test {
namespace {

template <typename T>
class SparseRowsTest : public testing::Test {};
using Storages = testing::Types<double, float, Half, BFloat16>;
TYPED_TEST_SUITE(SparseRowsTest, Storages);

TYPED_TEST(SparseRowsTest, LoadsWhatIsStoredTimesPowersOfTwo) {
  const auto sparse =
      SparseOf<TypeParam>(SparseNumbers(300, 9, 0.4, 1.0, Seed{1}), true);
  const Matrix<double> dense = sparse.Dense();
  const std::vector<int> exponents = {0, 1, -3, 7, 0, 2, -1, 5, 3};
  const SparseRows rows(sparse.view(), exponents);
  AlignedVector<double> values;
  const SparseBlock block = rows.Load(17, 250, values);
  ASSERT_EQ(block.count, 250);
  EXPECT_EQ(block.entries(), sparse.offsets[267] - sparse.offsets[17]);
  Index stored = 0;
  for (Index i = 0; i < block.count; ++i) {
    for (Index e = block.begin(i); e < block.end(i); ++e, ++stored) {
      const Index column = block.columns[e];
      EXPECT_EQ(block.values[e],
                std::ldexp(dense(17 + i, column),
                           -exponents[static_cast<std::size_t>(column)]));
    }
  }
  EXPECT_EQ(stored, block.entries());
}

TEST(SparseRowsExtremeTest, ExponentsThatNoOneFactorHolds) {
  SparseMatrix<double> sparse;
  sparse.cols = 2;
  sparse.offsets = {0, 2};
  sparse.columns = {0, 1};
  sparse.values = {0x1.8p-1060, 0x1.8p1020};
  AlignedVector<double> values;
  const SparseRows rows(sparse.view(), {-1060, 1020});
  const SparseBlock block = rows.Load(0, 1, values);
  EXPECT_EQ(block.values[0], 1.5);
  EXPECT_EQ(block.values[1], 1.5);
}

// Blocks cover every row once, in order, and none is long.
TEST(SparseCutTest, CoversTheRowsWhateverTheirLengths) {
  Matrix<double> dense(500, 40);
  for (Index j = 0; j < 40; ++j) {
    for (Index i = 0; i < 500; ++i) {
      if (i % 50 == 7 || (i + j) % 31 == 0) dense(i, j) = 1.0;
    }
  }
  const auto sparse = SparseOf<float>(dense);
  const SparseRows rows(sparse.view(), {});
  for (const Index slots : {1, 3, 7, 1000}) {
    const SparseCut cut(rows, slots, 20, 30);
    EXPECT_LE(cut.slots(), 500);
    Index row = 0;
    for (Index slot = 0; slot < cut.slots(); ++slot) {
      EXPECT_EQ(cut.SlotBegin(slot), row);
      const Index end = cut.SlotBegin(slot + 1);
      while (row < end) {
        const Index next = cut.BlockEnd(row, end);
        ASSERT_GT(next, row);
        ASSERT_LE(next, end);
        EXPECT_LE(next - row, 20);
        const auto at = [&](Index i) {
          return sparse.offsets[static_cast<std::size_t>(i)];
        };
        if (next > row + 1) {
          EXPECT_LE(at(next) - at(row), 30);
        }
        EXPECT_LE(at(next) - at(row), cut.MostEntries());
        row = next;
      }
    }
    EXPECT_EQ(row, 500);
  }
}

TEST(SparseCutTest, SlotsShareTheWork) {
  const auto sparse =
      SparseOf<double>(SparseNumbers(2000, 30, 0.2, 1.0, Seed{2}));
  const SparseRows rows(sparse.view(), {});
  const SparseCut cut(rows, 8, 64, 1024);
  for (Index slot = 0; slot < 8; ++slot) {
    const auto begin = static_cast<std::size_t>(cut.SlotBegin(slot));
    const auto end = static_cast<std::size_t>(cut.SlotBegin(slot + 1));
    const double work =
        static_cast<double>(sparse.offsets[end] - sparse.offsets[begin]) +
        static_cast<double>(end - begin);
    const double whole = static_cast<double>(rows.nonzeros() + rows.rows());
    // No more than a row of 30 entries too many or too few.
    EXPECT_NEAR(work, whole / 8.0, 2.0 * 31.0);
  }
}

}  // namespace
}  // namespace steelyard::test
