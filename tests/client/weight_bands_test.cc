#include "client/src/weight_bands.h"

#include <cmath>
#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/client/error_detail.h"

namespace steelyard::client {
namespace {

constexpr std::int64_t kBytesMax = 1 << 20;

// A server that multiplies: row i of K is the weights' own order, so that y is
// one column of K after the other.
Prediction Times(const RowMajorMatrix& k, const WeightBands& bands) {
  return bands.Joined({.y = k * bands.columns(), .y_exponents = {}});
}

TEST(WeightBandsTest, NumbersOfFloat64ComeBackAsTheyAre) {
  const RowMajorMatrix x = RowMajorMatrix::Random(5, 2);
  const auto bands =
      WeightBands::Cut(x, std::vector<std::int32_t>(10, 0), kBytesMax);
  ASSERT_TRUE(bands.ok()) << bands.status();
  // |x| <= 1, mostly below 1: one band a column, or two.
  EXPECT_LE(bands->columns().cols(), 4);
  const Prediction y = Times(RowMajorMatrix::Identity(5, 5), *bands);
  EXPECT_EQ(y.y, x);
  EXPECT_TRUE(y.y_exponents.empty());
}

TEST(WeightBandsTest, NumbersFarApartKeepEveryBit) {
  // 3 * 2^5000, 0, 5 * 2^-7000 and 7: three bands.
  const std::vector<double> x = {3.0, 0.0, 5.0, 7.0};
  const auto bands =
      WeightBands::Cut({x, {4}}, {5000, 9999, -7000, 0}, kBytesMax);
  ASSERT_TRUE(bands.ok()) << bands.status();
  EXPECT_EQ(bands->columns().rows(), 4);
  EXPECT_EQ(bands->columns().cols(), 3);
  const Prediction y = Times(RowMajorMatrix::Identity(4, 4), *bands);
  ASSERT_EQ(y.y_exponents.size(), 4U);
  const auto is = [&](Eigen::Index i, double number, int exponent) {
    const auto at = static_cast<std::size_t>(i);
    return std::ldexp(y.y(i, 0), y.y_exponents[at] - exponent) == number;
  };
  EXPECT_TRUE(is(0, 3.0, 5000));
  EXPECT_EQ(y.y(1, 0), 0.0);
  EXPECT_TRUE(is(2, 5.0, -7000));
  EXPECT_TRUE(is(3, 7.0, 0));
}

TEST(WeightBandsTest, BandsOfOneEntryAddUp) {
  // 2^1030 - 2^1030 + 6 in three bands or two, of two weights each.
  const std::vector<double> x = {1.0, -1.0, 1.5};
  const auto bands = WeightBands::Cut({x, {3, 1}}, {1030, 1030, 2}, kBytesMax);
  ASSERT_TRUE(bands.ok()) << bands.status();
  const Prediction y = Times(RowMajorMatrix::Ones(1, 3), *bands);
  EXPECT_TRUE(y.y_exponents.empty());
  EXPECT_EQ(y.y(0, 0), 6.0);
}

TEST(WeightBandsTest, ExponentsOfTheAnswerCount) {
  const std::vector<double> x = {1.0};
  const auto bands = WeightBands::Cut({x, {1}}, {3000}, kBytesMax);
  ASSERT_TRUE(bands.ok()) << bands.status();
  const Prediction y = bands->Joined(
      {.y = RowMajorMatrix::Constant(1, 1, bands->columns()(0, 0)),
       .y_exponents = {-2990}});
  EXPECT_TRUE(y.y_exponents.empty());
  EXPECT_EQ(y.y(0, 0), 1024.0);  // 2^(3000 - 2990)
}

TEST(WeightBandsTest, WhatIsNotFiniteIsForTheServerToRefuse) {
  const std::vector<double> x = {1.0, std::numeric_limits<double>::infinity()};
  const auto bands = WeightBands::Cut({x, {2}}, {0, 0}, kBytesMax);
  ASSERT_TRUE(bands.ok()) << bands.status();
  EXPECT_EQ(bands->columns()(1, 0), x[1]);
}

TEST(WeightBandsTest, OneExponentAnEntry) {
  const std::vector<double> x = {1.0, 2.0};
  const auto status = WeightBands::Cut({x, {2}}, {1}, kBytesMax).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_EQ(DetailOf(status)->field, "x_exponents");
  EXPECT_EQ(
      DetailOf(WeightBands::Cut({x, {3}}, {1, 1}, kBytesMax).status())->field,
      "x");
}

}  // namespace
}  // namespace steelyard::client
