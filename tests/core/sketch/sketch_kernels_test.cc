#include "sketch/sketch_kernels.h"

#include <bit>
#include <cmath>
#include <numbers>
#include <vector>

#include "gtest/gtest.h"
#include "steelyard/random.h"
#include "tests/support/bounds.h"
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

TEST(SketchKernelsTest, TransformIsTheHadamardMatrix) {
  test::OnEveryTarget([] {
    for (Index rows = 1; rows <= 2048; rows *= 2) {
      AlignedVector<double> strip(static_cast<std::size_t>(rows * 8));
      // Small whole numbers: every sum is exact.
      for (Index e = 0; e < rows * 8; ++e) {
        strip[static_cast<std::size_t>(e)] = static_cast<double>(e * 37 % 101);
      }
      const AlignedVector<double> before = strip;
      TransformRows(strip.data(), rows);
      for (const Index i : {Index{0}, rows / 3, rows - 1}) {
        for (Index c = 0; c < 8; ++c) {
          double sum = 0.0;
          for (Index j = 0; j < rows; ++j) {
            const bool odd =
                std::popcount(static_cast<std::uint64_t>(i & j)) % 2 != 0;
            const double x = before[static_cast<std::size_t>(j * 8 + c)];
            sum += odd ? -x : x;
          }
          EXPECT_EQ(strip[static_cast<std::size_t>(i * 8 + c)], sum);
        }
      }
    }
  });
}

TEST(SketchKernelsTest, RowsArePlacedWithTheirSigns) {
  const SignedRow targets[] = {SignedRowOf(2, true), SignedRowOf(0, false)};
  AlignedVector<double> strip(16);
  for (std::size_t e = 0; e < 16; ++e) strip[e] = static_cast<double>(e + 1);
  test::OnEveryTarget([&] {
    AlignedVector<double> out(32, 0.0);
    PlaceRows(strip.data(), 2, targets, out.data());
    for (std::size_t c = 0; c < 8; ++c) {
      EXPECT_EQ(out[c], strip[8 + c]);
      EXPECT_EQ(out[8 + c], 0.0);
      EXPECT_EQ(out[16 + c], -strip[c]);
    }
  });
}

TEST(SketchKernelsTest, NormalPairsAreBoxAndMuller) {
  std::vector<std::uint64_t> radius{0, ~std::uint64_t{0}};
  std::vector<std::uint64_t> angle{~std::uint64_t{0}, 0};
  for (std::uint64_t i = 0; i < 19; ++i) {
    const RandomBits bits = RandomStream{{6}, 7}.BitPair(i);
    radius.push_back(bits.first);
    angle.push_back(bits.second);
  }
  const auto count = static_cast<Index>(radius.size());
  test::OnEveryTarget([&] {
    std::vector<double> even(radius.size());
    std::vector<double> odd(radius.size());
    NormalPairs(radius.data(), angle.data(), count, even.data(), odd.data());
    for (std::size_t i = 0; i < radius.size(); ++i) {
      const auto uniform = [](std::uint64_t bits) {
        return (static_cast<long double>(bits >> 12) + 0.5L) * 0x1p-52L;
      };
      const long double size = std::sqrt(-2.0L * std::log(uniform(radius[i])));
      const long double turn =
          2.0L * std::numbers::pi_v<long double> * uniform(angle[i]);
      // Functions of 4 roundings each of numbers up to 8.6 and 2 pi.
      EXPECT_NEAR(even[i], static_cast<double>(size * std::cos(turn)),
                  8.6 * 16.0 * test::kUnitRoundoff);
      EXPECT_NEAR(odd[i], static_cast<double>(size * std::sin(turn)),
                  8.6 * 16.0 * test::kUnitRoundoff);
    }
  });
}

}  // namespace
}  // namespace steelyard
