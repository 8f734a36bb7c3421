#include "preconditioner/factor_columns.h"

#include <vector>

#include "gtest/gtest.h"

namespace steelyard {
namespace {

// Blocks of 2, 3 and 2 rows, the second in float, the last row not counted;
// entry (j, i) of F' is 10 j + i.
FactorColumns SixRows() {
  FactorColumns factor{.size = 5, .rank = 6, .blocks = {}};
  Matrix<double> first(2, 5);
  Matrix<float> second(3, 5);
  Matrix<double> third(2, 5);
  for (Index j = 0; j < 7; ++j) {
    for (Index i = 0; i < 5; ++i) {
      const auto value = static_cast<float>(10 * j + i);
      if (j < 2) first(j, i) = value;
      if (j >= 2 && j < 5) second(j - 2, i) = value;
      if (j >= 5) third(j - 5, i) = value;
    }
  }
  factor.blocks = {std::make_shared<const Matrix<double>>(std::move(first)),
                   std::make_shared<const Matrix<float>>(std::move(second)),
                   std::make_shared<const Matrix<double>>(std::move(third))};
  return factor;
}

template <typename T>
void ExpectParts() {
  const FactorColumns factor = SixRows();
  for (Index from = 0; from < 6; ++from) {
    for (Index rows = 1; from + rows <= 6; ++rows) {
      std::vector<T> part(static_cast<std::size_t>(3 * rows));
      factor.CopyPart(from, rows, 1, 3, part.data());
      for (Index j = 0; j < rows; ++j) {
        for (Index i = 0; i < 3; ++i) {
          EXPECT_EQ(part[static_cast<std::size_t>(3 * j + i)],
                    static_cast<T>(10 * (from + j) + i + 1));
        }
      }
    }
  }
}

TEST(FactorColumnsTest, PartsAreCopiedFromEitherPrecision) {
  ExpectParts<double>();
  ExpectParts<float>();
}

TEST(FactorColumnsTest, RowsBeyondTheRankAreNotVisited) {
  const FactorColumns factor = SixRows();
  Index rows = 0;
  factor.ForParts(1, 100, 0, 5, [&](Index row, const auto& part) {
    EXPECT_EQ(row, 1 + rows);
    EXPECT_EQ(static_cast<Index>(part(0, 4)), 10 * row + 4);
    rows += part.rows;
  });
  EXPECT_EQ(rows, 5);
}

TEST(FactorColumnsTest, KnowsItsPrecisionAndSize) {
  const FactorColumns factor = SixRows();
  EXPECT_TRUE(factor.IsFloat32(2, 3));
  EXPECT_FALSE(factor.IsFloat32(1, 2));
  EXPECT_FALSE(factor.IsFloat32(3, 3));
  EXPECT_EQ(factor.bytes(), 5 * (4 * 8 + 3 * 4));
  EXPECT_EQ(RowsOf(factor.blocks[1]), 3);
}

}  // namespace
}  // namespace steelyard
