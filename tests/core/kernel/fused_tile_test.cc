#include "kernel/fused_tile.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "gtest/gtest.h"
#include "kernel/certificate.h"
#include "steelyard/matrix.h"
#include "steelyard/random.h"
#include "tests/support/every_target.h"
#include "tests/support/kernel_cases.h"

namespace steelyard {
namespace {

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

template <typename T>
class FusedTileTest : public testing::Test {
 protected:
  static constexpr double kU = std::same_as<T, float> ? 0x1p-24 : 0x1p-53;
  static constexpr Index kStrip = kFusedStrip<T>;
  static constexpr double kScale = 1.5;

  // `count` rows and the padding of their last strip.
  struct Rows {
    Matrix<double> rows;
    AlignedVector<T> packed;
    AlignedVector<T> offsets;
    Index strips() const { return static_cast<Index>(offsets.size()) / kStrip; }
  };

  static Rows MakeRows(Index count, Index d, std::uint64_t seed) {
    Rows out{.rows = test::RowsOfNorm(count, d, 1.5, seed)};
    for (Index i = 0; i < out.rows.size(); ++i) {
      out.rows.data()[i] = static_cast<T>(out.rows.data()[i]);
    }
    const Index strips = (count + kStrip - 1) / kStrip;
    out.packed.resize(At(strips * kStrip * d), T{7});
    out.offsets.resize(At(strips * kStrip), static_cast<T>(kNoRow));
    for (Index s = 0; s < strips; ++s) {
      PackFusedStrip(out.rows.row(s * kStrip), d,
                     std::min(kStrip, count - s * kStrip), d,
                     out.packed.data() + s * kStrip * d);
    }
    for (Index i = 0; i < count; ++i) {
      out.offsets[At(i)] = static_cast<T>(-0.01 * static_cast<double>(i % 90));
    }
    return out;
  }

  FusedTile<T> TileOf(const Rows& rows, const Rows& cols) {
    const Index entries = static_cast<Index>(rows.offsets.size()) *
                          static_cast<Index>(cols.offsets.size());
    if (rows.rows.cols() > kFusedDepth) partial_.resize(At(entries));
    return {.rows = rows.packed.data(),
            .cols = cols.packed.data(),
            .row_strips = rows.strips(),
            .col_strips = cols.strips(),
            .d = rows.rows.cols(),
            .scale = static_cast<T>(kScale),
            .row_offset = rows.offsets.data(),
            .col_offset = cols.offsets.data(),
            .partial = partial_.data()};
  }

  static long double Entry(const Rows& rows, const Rows& cols, Index i,
                           Index j) {
    if (i >= rows.rows.rows() || j >= cols.rows.rows()) return 0.0L;
    long double t = static_cast<long double>(rows.offsets[At(i)]) +
                    static_cast<long double>(cols.offsets[At(j)]);
    for (Index c = 0; c < rows.rows.cols(); ++c) {
      t += static_cast<long double>(kScale) * rows.rows(i, c) * cols.rows(j, c);
    }
    return std::exp2(std::min(0.0L, t));
  }

  // 3 u of 2^t, and what its argument is off by: dots and offsets of at most
  // 10.
  static double EntryBound(Index d) {
    return kU * (3.0 + 10.0 * DotErrorConstant(d));
  }

  void ExpectEntries(Index row_count, Index col_count, Index d) {
    const Rows rows = MakeRows(row_count, d, 1);
    const Rows cols = MakeRows(col_count, d, 2);
    const FusedTile<T> tile = TileOf(rows, cols);
    const Index width = cols.strips() * kStrip;
    std::vector<T> out(At(rows.strips() * kStrip * width), T{9});
    FillFusedTile(tile, out.data(), width);
    for (Index i = 0; i < rows.strips() * kStrip; ++i) {
      for (Index j = 0; j < width; ++j) {
        const long double truth = Entry(rows, cols, i, j);
        ASSERT_LE(std::abs(out[At(i * width + j)] - truth),
                  truth * EntryBound(d))
            << i << " " << j << " d " << d;
      }
    }
  }

  void ExpectProducts(Index d, Index vectors, bool both) {
    const Rows rows = MakeRows(kStrip + 5, d, 3);
    const Rows cols = MakeRows(2 * kStrip, d, 4);
    const Index height = rows.strips() * kStrip;
    const Index width = cols.strips() * kStrip;
    const auto numbers = [](Index count, std::uint64_t seed) {
      const RandomStream random{.seed = {seed}};
      std::vector<T> out(At(count));
      for (std::size_t i = 0; i < out.size(); ++i) {
        out[i] = static_cast<T>(random.Normal(i));
      }
      return out;
    };
    const std::vector<T> right = numbers(vectors * width, 5);
    const std::vector<T> left = numbers(vectors * height, 6);
    std::vector<T> row_sums(At(vectors * height), T{1});
    std::vector<T> col_sums(At(vectors * width), T{2});
    FusedProduct<T> product{.vectors = vectors,
                            .right = right.data(),
                            .right_stride = width,
                            .row_sums = row_sums.data(),
                            .row_stride = height};
    if (both) {
      product.left = left.data();
      product.left_stride = height;
      product.col_sums = col_sums.data();
      product.col_stride = width;
    }
    MultiplyFusedTile(TileOf(rows, cols), product);
    // Sums of at most 96 terms.
    const double bound = EntryBound(d) + kU * 96.0;
    for (Index c = 0; c < vectors; ++c) {
      for (Index i = 0; i < height; ++i) {
        long double sum = 1.0L, size = 1.0L;
        for (Index j = 0; j < width; ++j) {
          const long double term =
              Entry(rows, cols, i, j) * right[At(c * width + j)];
          sum += term;
          size += std::abs(term);
        }
        ASSERT_LE(std::abs(row_sums[At(c * height + i)] - sum), bound * size);
      }
      for (Index j = 0; j < width; ++j) {
        long double sum = 2.0L, size = 2.0L;
        for (Index i = 0; i < height && both; ++i) {
          const long double term =
              Entry(rows, cols, i, j) * left[At(c * height + i)];
          sum += term;
          size += std::abs(term);
        }
        ASSERT_LE(std::abs(col_sums[At(c * width + j)] - sum), bound * size);
      }
    }
  }

  // Largest error in ulps (of subnormal results: in the least number) over
  // arguments that many representable numbers apart.
  static double LargestUlps(Index step) {
    using Bits = std::conditional_t<std::same_as<T, float>, std::uint32_t,
                                    std::uint64_t>;
    const T most = std::same_as<T, float> ? T{160} : T{1100};
    double worst = 0.0;
    std::vector<T> t, out;
    for (Bits bits = 0; std::bit_cast<T>(bits) < most;
         bits += static_cast<Bits>(step)) {
      t.push_back(-std::bit_cast<T>(bits));
    }
    out.resize(t.size());
    FusedExp2(t.data(), static_cast<std::int64_t>(t.size()), out.data());
    for (std::size_t i = 0; i < t.size(); ++i) {
      const long double truth = std::exp2(static_cast<long double>(t[i]));
      // Where results are not normal they may be 0.
      if (truth < std::numeric_limits<T>::min()) {
        EXPECT_LE(out[i], std::numeric_limits<T>::min()) << t[i];
        EXPECT_GE(out[i], T{0}) << t[i];
        continue;
      }
      const long double ulp = std::ldexp(
          1.0L, std::ilogb(truth) + 1 - std::numeric_limits<T>::digits);
      worst =
          std::max(worst, static_cast<double>(std::abs(out[i] - truth) / ulp));
    }
    return worst;
  }

  AlignedVector<T> partial_;
};

using Scalars = testing::Types<double, float>;
TYPED_TEST_SUITE(FusedTileTest, Scalars);

TYPED_TEST(FusedTileTest, EntriesAgreeWithLongDoubleOnEveryTarget) {
  test::OnEveryTarget([&] {
    this->ExpectEntries(1, 1, 1);
    this->ExpectEntries(this->kStrip + 1, 2 * this->kStrip, 5);
    // Two rounds of coordinates, the second of one, and three.
    this->ExpectEntries(3, this->kStrip, kFusedDepth + 1);
    this->ExpectEntries(3, 5, 2 * kFusedDepth + 7);
  });
}

TYPED_TEST(FusedTileTest, ProductsOfBothSidesAgreeWithLongDouble) {
  test::OnEveryTarget([&] {
    for (const Index vectors : {1, 2, 16}) {
      this->ExpectProducts(3, vectors, true);
      this->ExpectProducts(3, vectors, false);
    }
    this->ExpectProducts(kFusedDepth + 2, 1, true);
  });
}

TYPED_TEST(FusedTileTest, EntriesHaveTheSameBitsOnBothSidesOfTheDiagonal) {
  test::OnEveryTarget([&] {
    const auto rows = this->MakeRows(2 * this->kStrip, 9, 7);
    auto tile = this->TileOf(rows, rows);
    const Index width = 2 * this->kStrip;
    std::vector<TypeParam> out(At(width * width));
    FillFusedTile(tile, out.data(), width);
    tile.unit_diagonal = true;
    std::vector<TypeParam> unit(At(width * width));
    FillFusedTile(tile, unit.data(), width);
    for (Index i = 0; i < width; ++i) {
      EXPECT_EQ(unit[At(i * width + i)], TypeParam{1});
      for (Index j = 0; j < width; ++j) {
        ASSERT_EQ(out[At(i * width + j)], out[At(j * width + i)]);
        if (i == j) continue;
        ASSERT_EQ(unit[At(i * width + j)], out[At(i * width + j)]);
      }
    }
  });
}

TYPED_TEST(FusedTileTest, PowersOfTwoAreWithinTwoUlps) {
  test::OnEveryTarget([&] {
    const bool single = std::same_as<TypeParam, float>;
    // 100,000 and some of them, spread over all exponents.
    EXPECT_LE(this->LargestUlps(single ? 10007 : (Index{1} << 46) + 12345),
              2.0);
  });
}

TYPED_TEST(FusedTileTest, PowersOfTwoOfWholeNumbersAreExact) {
  test::OnEveryTarget([&] {
    const int least = std::numeric_limits<TypeParam>::min_exponent - 1;
    std::vector<TypeParam> t;
    for (int i = 0; i >= least; --i) t.push_back(static_cast<TypeParam>(i));
    std::vector<TypeParam> out(t.size());
    FusedExp2(t.data(), static_cast<std::int64_t>(t.size()), out.data());
    for (std::size_t i = 0; i < t.size(); ++i) {
      EXPECT_EQ(out[i], std::ldexp(TypeParam{1}, static_cast<int>(t[i])));
    }
    const TypeParam tiny[] = {TypeParam(kNoRow), TypeParam(-2000),
                              std::numeric_limits<TypeParam>::lowest()};
    FusedExp2(tiny, 3, out.data());
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(out[i], TypeParam{0});
  });
}

}  // namespace
}  // namespace steelyard
