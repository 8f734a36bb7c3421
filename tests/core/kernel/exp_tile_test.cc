#include "kernel/exp_tile.h"

#include <cmath>
#include <vector>

#include "gtest/gtest.h"
#include "steelyard/random.h"
#include "tests/support/bounds.h"

namespace steelyard {
namespace {

template <typename T>
class ExpTileTest : public testing::Test {
 protected:
  static constexpr double kU =
      std::same_as<T, float> ? 0x1p-24 : test::kUnitRoundoff;

  // Sizes that no vector length divides.
  static constexpr std::int64_t kRows = 5;
  static constexpr std::int64_t kCols = 37;
  static constexpr std::int64_t kStride = 40;
  static constexpr std::int64_t kVectors = 3;

  ExpTileTest() : logits(kRows * kStride), rows(kRows), cols(kCols) {
    const RandomStream stream{.seed = {5}};
    auto fill = [&, at = std::uint64_t{0}](std::vector<T>& v) mutable {
      for (T& x : v) x = static_cast<T>(4.0 * stream.Normal(at++) - 3.0);
    };
    fill(logits);
    fill(rows);
    fill(cols);
    original = logits;
  }

  ExpTile<T> Tile() {
    return {.logits = logits.data(),
            .rows = kRows,
            .cols = kCols,
            .stride = kStride,
            .row_offset = rows.data(),
            .col_offset = cols.data()};
  }

  // The logits as the kernel adds them, so that only exp and sums are judged.
  double Expected(std::int64_t i, std::int64_t j) const {
    const T logit =
        original[static_cast<std::size_t>(i * kStride + j)] +
        (rows[static_cast<std::size_t>(i)] + cols[static_cast<std::size_t>(j)]);
    return std::exp(std::min(0.0, static_cast<double>(logit)));
  }

  std::vector<T> logits, rows, cols;
  std::vector<T> original;
};

using Scalars = testing::Types<double, float>;
TYPED_TEST_SUITE(ExpTileTest, Scalars);

TYPED_TEST(ExpTileTest, EntriesAreExponentialsCutAtOne) {
  ExponentiateTile(this->Tile());
  for (std::int64_t i = 0; i < this->kRows; ++i) {
    for (std::int64_t j = 0; j < this->kCols; ++j) {
      const double expected = this->Expected(i, j);
      // 1 ulp of Highway's Exp, and one of a sum fused differently.
      EXPECT_NEAR(
          static_cast<double>(
              this->logits[static_cast<std::size_t>(i * this->kStride + j)]),
          expected, expected * 2.0 * this->kU * 30.0);
    }
  }
}

TYPED_TEST(ExpTileTest, ProductsOfBothSidesAgreeWithTheEntries) {
  std::vector<TypeParam> right(this->kVectors * this->kCols, TypeParam{1});
  std::vector<TypeParam> left(this->kVectors * this->kRows, TypeParam{-2});
  std::vector<TypeParam> row_sums(this->kVectors * this->kRows);
  std::vector<TypeParam> col_sums(this->kVectors * this->kCols);
  auto tile = this->Tile();
  tile.unit_diagonal = true;
  tile.diagonal_col = 4;
  MultiplyExpTile(tile, {.vectors = this->kVectors,
                         .right = right.data(),
                         .right_stride = this->kCols,
                         .row_sums = row_sums.data(),
                         .row_stride = this->kRows,
                         .left = left.data(),
                         .left_stride = this->kRows,
                         .col_sums = col_sums.data(),
                         .col_stride = this->kCols});
  const auto entry = [&](std::int64_t i, std::int64_t j) {
    return j == i + 4 ? 1.0 : this->Expected(i, j);
  };
  for (std::int64_t c = 0; c < this->kVectors; ++c) {
    for (std::int64_t i = 0; i < this->kRows; ++i) {
      double sum = 0.0;
      for (std::int64_t j = 0; j < this->kCols; ++j) sum += entry(i, j);
      EXPECT_NEAR(static_cast<double>(
                      row_sums[static_cast<std::size_t>(c * this->kRows + i)]),
                  sum, sum * this->kU * 100.0);
    }
    for (std::int64_t j = 0; j < this->kCols; ++j) {
      double sum = 0.0;
      for (std::int64_t i = 0; i < this->kRows; ++i) sum -= 2.0 * entry(i, j);
      EXPECT_NEAR(static_cast<double>(
                      col_sums[static_cast<std::size_t>(c * this->kCols + j)]),
                  sum, -sum * this->kU * 100.0);
    }
  }
}

TYPED_TEST(ExpTileTest, WhatUnderflowsIsZeroNeverNotANumber) {
  for (TypeParam& logit : this->logits) logit = TypeParam(-1e30);
  ExponentiateTile(this->Tile());
  for (std::int64_t j = 0; j < this->kCols; ++j) {
    EXPECT_EQ(this->logits[static_cast<std::size_t>(j)], TypeParam{0});
  }
}

}  // namespace
}  // namespace steelyard
