#include "sensitivity/power_coreset.h"

#include <cmath>
#include <numeric>

#include "gtest/gtest.h"
#include "steelyard/status.h"
#include "tests/core/sensitivity/power_keys.h"
#include "tests/support/bounds.h"
#include "tests/support/long_double_householder.h"
#include "tests/support/power_oracle.h"

namespace steelyard {
namespace {

using test::PowerKeys;
using test::Tail;

ComputeContext Context() {
  static const Workers workers(2);
  return ComputeContext{workers};
}

MatrixView<double> RowsOf(const Matrix<double>& keys, Index first,
                          Index count) {
  return {keys.row(first), count, keys.cols()};
}

PowerCoreset Fed(const Matrix<double>& keys, double p, Index panel) {
  PowerCoreset coreset(p, keys.cols());
  for (Index first = 0; first < keys.rows(); first += panel) {
    const Index count = std::min(panel, keys.rows() - first);
    EXPECT_TRUE(coreset.Add(RowsOf(keys, first, count), Context()).ok());
  }
  EXPECT_TRUE(coreset.Refresh(Context()).ok());
  return coreset;
}

std::vector<double> Bounds(const PowerCoreset& coreset,
                           const Matrix<double>& keys) {
  const auto bounds = coreset.UpperBounds(keys.view(), Context());
  EXPECT_TRUE(bounds.ok()) << bounds.status();
  return *bounds;
}

class PowerCoresetTest : public testing::TestWithParam<double> {};

TEST_P(PowerCoresetTest, NoSensitivityExceedsItsBoundWhateverThePanels) {
  const double p = GetParam();
  for (const Tail tail : {Tail::kNormal, Tail::kHeavy}) {
    Matrix<double> keys = PowerKeys(200, 2, 100.0, tail, 4);
    for (Index c = 0; c < 2; ++c) {
      keys(50, c) *= 0x1p-400;
      keys(60, c) = 0.0;
    }
    const auto wide = test::Widened(keys.view());
    for (const Index panel : {1, 13, 200}) {
      const std::vector<double> bounds = Bounds(Fed(keys, p, panel), keys);
      EXPECT_EQ(bounds[60], 0.0);
      for (Index j = 0; j < 200; j += 25) {
        const auto truth =
            static_cast<double>(test::BestQuery(wide, j, p).sensitivity);
        EXPECT_GE(bounds[static_cast<std::size_t>(j)], truth) << j;
      }
    }
  }
}

TEST_P(PowerCoresetTest, BoundsAddUpToLittleMoreThanInBatch) {
  const double p = GetParam();
  const Matrix<double> keys = PowerKeys(4000, 4, 10.0, Tail::kNormal, 6);
  const PowerCoreset coreset = Fed(keys, p, 256);
  const std::vector<double> bounds = Bounds(coreset, keys);
  const double sum = std::accumulate(bounds.begin(), bounds.end(), 0.0);
  // d^max(1, p/2) at the Lewis weights; on arrival d ln(n/d) times as many,
  // which counts with the power p/2 - 1.
  const double batch = std::pow(4.0, std::max(1.0, 0.5 * p));
  const double growth = std::log(4000.0 / 4.0);
  EXPECT_LE(sum, batch * std::pow(growth, std::max(1.0, 0.5 * p)));
  EXPECT_LE(coreset.weight_sum(), 4.0 * (1.0 + growth));
}

TEST_P(PowerCoresetTest, ArrivalBoundsHoldForThePrefix) {
  const double p = GetParam();
  const Matrix<double> keys = PowerKeys(60, 2, 10.0, Tail::kNormal, 8);
  PowerCoreset coreset(p, 2);
  std::vector<double> bounds;
  for (Index first = 0; first < 60; first += 6) {
    std::vector<double> arrival;
    ASSERT_TRUE(coreset.Add(RowsOf(keys, first, 6), Context(), &arrival).ok());
    bounds.insert(bounds.end(), arrival.begin(), arrival.end());
  }
  ASSERT_EQ(bounds.size(), 60u);
  const auto wide = test::Widened(keys.view());
  double least = 1.0;
  for (Index j = 5; j < 60; j += 6) {
    Matrix<long double> prefix(j + 1, 2);
    for (Index i = 0; i <= j; ++i) {
      for (Index c = 0; c < 2; ++c) prefix(i, c) = wide(i, c);
    }
    const auto truth =
        static_cast<double>(test::BestQuery(prefix, j, p).sensitivity);
    EXPECT_GE(bounds[static_cast<std::size_t>(j)], truth) << j;
    least = std::min(least, bounds[static_cast<std::size_t>(j)]);
  }
  EXPECT_LT(least, 1.0);
}

TEST_P(PowerCoresetTest, ShardsAddUp) {
  const double p = GetParam();
  const Matrix<double> keys = PowerKeys(300, 2, 10.0, Tail::kHeavy, 9);
  PowerCoreset left(p, 2);
  PowerCoreset right(p, 2);
  ASSERT_TRUE(left.Add(RowsOf(keys, 0, 100), Context()).ok());
  ASSERT_TRUE(right.Add(RowsOf(keys, 100, 200), Context()).ok());
  const double sum = left.weight_sum() + right.weight_sum();
  ASSERT_TRUE(left.Merge(right, Context()).ok());
  EXPECT_EQ(left.keys(), 300);
  EXPECT_NEAR(left.weight_sum(), sum, sum * test::Gamma(2));
  const std::vector<double> bounds = Bounds(left, keys);
  const auto wide = test::Widened(keys.view());
  for (Index j = 0; j < 300; j += 37) {
    const auto truth =
        static_cast<double>(test::BestQuery(wide, j, p).sensitivity);
    EXPECT_GE(bounds[static_cast<std::size_t>(j)], truth) << j;
  }
}

TEST_P(PowerCoresetTest, ComesBackFromItsBytesAndGoesOn) {
  const double p = GetParam();
  const Matrix<double> keys = PowerKeys(120, 3, 10.0, Tail::kHeavy, 10);
  const PowerCoreset coreset = Fed(keys, p, 40);
  const auto bytes = coreset.Serialize(Context());
  ASSERT_TRUE(bytes.ok());
  const std::string twice = *bytes + *bytes;
  absl::string_view rest = twice;
  auto back = PowerCoreset::Parse(p, 3, 120, Context(), &rest);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(rest, *bytes);
  EXPECT_EQ(*back->Serialize(Context()), *bytes);
  const std::vector<double> before = Bounds(coreset, keys);
  const std::vector<double> after = Bounds(*back, keys);
  for (std::size_t j = 0; j < before.size(); ++j) {
    // The factor of a Gram and the R it was written as differ by rounding.
    EXPECT_NEAR(before[j], after[j], 1e-9 * before[j] * p);
  }
  EXPECT_TRUE(back->Add(keys.view(), Context()).ok());
  EXPECT_EQ(back->keys(), 240);
}

INSTANTIATE_TEST_SUITE_P(Powers, PowerCoresetTest,
                         testing::Values(1.0, 1.5, 1.99999, 2.00001, 3.0, 4.0,
                                         6.0, 64.0));

TEST(PowerCoresetBytesTest, BadBytesAreRefused) {
  const Matrix<double> keys = PowerKeys(30, 2, 10.0, Tail::kNormal, 11);
  const std::string good = *Fed(keys, 3.0, 30).Serialize(Context());
  const auto reason = [&](const std::string& bytes, double p, Index d,
                          Index count) {
    absl::string_view view = bytes;
    const auto coreset = PowerCoreset::Parse(p, d, count, Context(), &view);
    return coreset.ok() ? "" : DetailOf(coreset.status())->reason;
  };
  EXPECT_EQ(reason(good, 3.0, 2, 30), "");
  EXPECT_EQ(reason(good, 4.0, 2, 30), "STATE_CORRUPT");
  EXPECT_EQ(reason(good, 3.0, 3, 30), "STATE_CORRUPT");
  EXPECT_EQ(reason(good, 3.0, 2, 31), "STATE_CORRUPT");
  for (std::size_t length = 0; length < good.size(); ++length) {
    ASSERT_EQ(reason(good.substr(0, length), 3.0, 2, 30), "STATE_CORRUPT");
  }
  std::string newer = good;
  newer[0] = 9;
  EXPECT_EQ(reason(newer, 3.0, 2, 30), "STATE_FORMAT_TOO_NEW");
  // Every number as NaN (sizes: too large); the exponents, at the end, as -1,
  // which is a fine exponent.
  for (std::size_t at = 0; at + 8 <= good.size() - 2 * 8; at += 8) {
    std::string bad = good;
    for (std::size_t k = 0; k < 8; ++k) bad[at + k] = '\xff';
    EXPECT_NE(reason(bad, 3.0, 2, 30), "") << at;
  }
}

TEST(ArrivalWeightTest, IsTheRootFromAbove) {
  for (const double p : {1.0, 1.5, 1.99, 2.01, 3.0, 6.0, 64.0}) {
    for (const double q : {1e-200, 1e-10, 1e-3, 0.3, 0.999}) {
      const double w = ArrivalWeight(q, p);
      EXPECT_LE(w, 1.0);
      // p > 2 may lose what is below the range: any weight is allowed there.
      if (p > 2.0 && w < 1e-290) continue;
      const double left = std::pow(w, 2.0 / p) + w * q;
      EXPECT_GE(left, q * (1.0 - test::Gamma(64)));
      // The outward factor 1e-11 to the power 2/p.
      EXPECT_LE(left, q * (1.0 + 1e-10)) << p << " " << q;
    }
  }
  EXPECT_EQ(ArrivalWeight(0.0, 3.0), 0.0);
}

}  // namespace
}  // namespace steelyard
