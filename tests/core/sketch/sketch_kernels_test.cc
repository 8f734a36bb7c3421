#include "sketch/sketch_kernels.h"

#include "gtest/gtest.h"
#include "tests/support/every_target.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

TEST(SketchKernelsTest, SignedRowsKeepRowAndSign) {
  EXPECT_EQ(RowOf(SignedRowOf(4711, true)), 4711);
  EXPECT_EQ(SignOf(SignedRowOf(4711, true)), -1.0);
  EXPECT_EQ(SignOf(SignedRowOf(0, false)), 1.0);
}

TEST(SketchKernelsTest, AddsTheRowsOfTheListInItsOrder) {
  // Row 0: nothing; row 1: +2 -0; row 2: -3.
  const std::uint32_t offsets[] = {0, 0, 2, 3};
  const SignedRow list[] = {SignedRowOf(2, false), SignedRowOf(0, true),
                            SignedRowOf(3, true)};
  test::OnEveryTarget([&] {
    for (Index cols = 1; cols <= 35; ++cols) {
      const Matrix<double> a = test::NormalMatrix(8, cols, {3});
      AlignedVector<double> numbers(static_cast<std::size_t>(
          StripSize<double>(8, StripsFor<double>(cols))));
      const StripBlock<double> strips{numbers.data(), 8,
                                      StripsFor<double>(cols)};
      const std::vector<double> ones(static_cast<std::size_t>(cols), 1.0);
      PackStrips(a.data(), cols, ones.data(), 8, cols, strips);
      // A wider place to write to; what lies beside must stay.
      Matrix<double> sums = test::NormalMatrix(3, cols + 2, {4});
      const Matrix<double> before = sums;
      AddSignedRows(strips, offsets, list, BlockOf(sums).Part(0, 1, 3, cols));
      for (Index i = 0; i < 3; ++i) {
        EXPECT_EQ(sums(i, 0), before(i, 0));
        EXPECT_EQ(sums(i, cols + 1), before(i, cols + 1));
        for (Index c = 0; c < cols; ++c) {
          const double old = before(i, c + 1);
          const double expected = i == 0   ? old
                                  : i == 1 ? (old + a(2, c)) - a(0, c)
                                           : old - a(3, c);
          EXPECT_EQ(sums(i, c + 1), expected);
        }
      }
    }
  });
}

}  // namespace
}  // namespace steelyard
