#include "power/scaled_block.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/matrices.h"

namespace steelyard::test {
namespace {

ScaledBlock BlockOfNormals(Index d, Index k, Seed seed) {
  ScaledBlock block(d, k);
  block.hi = NormalMatrix(d, k, seed);
  return block;
}

TEST(ScaledBlockTest, ScalingThereAndBackIsExact) {
  const ScaledBlock before = BlockOfNormals(5, 3, Seed{1});
  ScaledBlock block = before;
  const std::vector<int> rows{200, -150, 0, 3, 77};
  ScaleRows(rows, -2, block);
  ScaleRows(rows, 2, block);
  for (Index i = 0; i < 5; ++i) {
    for (Index c = 0; c < 3; ++c) {
      const auto exponent =
          static_cast<int>(block.exponents[static_cast<std::size_t>(c)]);
      EXPECT_EQ(std::ldexp(block.hi(i, c), exponent), before.hi(i, c));
    }
  }
}

TEST(ScaledBlockTest, NormsSurviveWhatNoDoubleHolds) {
  ScaledBlock block = BlockOfNormals(4, 2, Seed{2});
  const std::vector<double> before = Log2Norms(block);
  const std::vector<int> rows(4, 997);  // entries of 1e300
  for (int i = 0; i < 64; ++i) ScaleRows(rows, -2, block);
  const std::vector<double> after = Log2Norms(block);
  for (std::size_t c = 0; c < 2; ++c) {
    // Two rounded logarithms of at most 2^17.
    EXPECT_NEAR(after[c], before[c] - 64.0 * 2.0 * 997.0, 0x1p-34);
    EXPECT_LT(std::abs(block.hi(0, static_cast<Index>(c))), 2.0);
  }
}

TEST(ScaledBlockTest, SumsAlignExponentsAndZeroColumnsStayZero) {
  ScaledBlock a(2, 2);
  a.hi(0, 0) = 1.5;
  a.exponents = {2000, 0};
  ScaledBlock b(2, 2);
  b.hi(0, 0) = 1.0;
  b.hi(1, 1) = 3.0;
  b.exponents = {1999, -4000};
  AddTo(b, a);
  EXPECT_EQ(std::ldexp(a.hi(0, 0), static_cast<int>(a.exponents[0] - 2000)),
            2.0);
  EXPECT_EQ(a.exponents[1], -4000);
  EXPECT_EQ(a.hi(1, 1), 3.0);
  EXPECT_EQ(a.hi(1, 0), 0.0);
}

TEST(ScaledBlockTest, LowPartsAreScaledAlike) {
  ScaledBlock block(2, 1);
  block.hi(0, 0) = 1.0;
  block.lo = Matrix<double>(2, 1);
  block.lo(0, 0) = 0x1p-60;
  ScaleRows({10, 0}, 1, block);
  EXPECT_EQ(block.lo(0, 0) / block.hi(0, 0), 0x1p-60);
}

}  // namespace
}  // namespace steelyard::test
