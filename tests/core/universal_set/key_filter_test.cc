#include "universal_set/key_filter.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/bounds.h"
#include "tests/support/every_target.h"
#include "tests/support/long_double_householder.h"
#include "tests/support/matrices.h"
#include "universal_set/block_scores.h"

namespace steelyard {
namespace {

const Workers& OneWorker() {
  static const Workers workers(1);
  return workers;
}

// A factor of the keys and its inverse.
struct Factored {
  Factor factor;
  Matrix<double> inverse;

  explicit Factored(const AnyMatrixView& keys)
      : factor(*ScanAndFactorMatrix(keys, "keys", {}, {OneWorker()})),
        inverse(*UpperInverse(factor.r, {OneWorker()})) {}
};

std::vector<double> BoundsOf(const KeyFilter& filter,
                             const AnyMatrixView& keys) {
  std::vector<double> bounds(static_cast<std::size_t>(Rows(keys)), -1.0);
  // In pieces that are no whole groups of rows.
  for (Index first = 0; first < Rows(keys); first += 77) {
    filter.Bound(keys, first, std::min<Index>(77, Rows(keys) - first),
                 bounds.data() + first);
  }
  return bounds;
}

template <typename T>
class KeyFilterTest : public testing::Test {};
using Storages = testing::Types<double, float, Half, BFloat16>;
TYPED_TEST_SUITE(KeyFilterTest, Storages);

TYPED_TEST(KeyFilterTest, CertainBoundsHoldHoweverManyColumnsLead) {
  test::OnEveryTarget([] {
    for (const Index d : {1, 7, 40}) {
      for (const double cond : {1.0, 1e2, 1e5}) {
        const auto keys =
            test::KeysWithSpectrum<TypeParam>({.rows = 160,
                                               .columns = d,
                                               .cond = d == 1 ? 1.0 : cond,
                                               .seed = {81}});
        const Factored of(keys.view());
        const auto truth = test::LongDoubleLeverages(keys.view());
        // Every key may lead, some, none.
        for (const double level : {1e30, 1.0, 0.0}) {
          const KeyFilter filter =
              KeyFilter::Certain(keys.view(), of.factor, of.inverse, level);
          if (level == 1e30) {
            EXPECT_EQ(filter.leading(), d);
          } else if (level == 0.0) {
            EXPECT_EQ(filter.leading(), 0);
          }
          const std::vector<double> bounds = BoundsOf(filter, keys.view());
          for (std::size_t j = 0; j < truth.size(); ++j) {
            const auto exact = static_cast<double>(truth[j]);
            EXPECT_GE(bounds[j] * (1.0 + of.factor.delta), exact);
            if (filter.leading() > 0) continue;
            // (x + 2 e)^2: as far above as it says, and no farther.
            const double e = 1.01 * static_cast<double>(d + 4) * 0x1p-24 *
                             of.factor.inverse_frobenius_norm *
                             of.factor.frobenius_norm;
            const double most = std::sqrt(exact) * (1.0 + 2.0 * e) + 2.0 * e;
            EXPECT_LE(bounds[j], most * most * (1.0 + of.factor.delta));
          }
        }
      }
    }
  });
}

TEST(KeyFilterScalesTest, NothingOverflowsOrVanishesInFloat32) {
  // Columns from 1e-300 to 1e300, and keys far shorter than float32 reaches.
  constexpr Index kOrder = 5;
  const double columns[kOrder] = {1e-300, 1e-150, 1.0, 1e150, 1e300};
  const double lengths[] = {1.0, 1e-30, 1e-60, 1e3};
  Matrix<double> keys = test::NormalMatrix(60, kOrder, {82});
  for (Index i = 0; i < 60; ++i) {
    for (Index c = 0; c < kOrder; ++c) {
      keys(i, c) *= columns[c] * lengths[i % 4];
    }
  }
  const Factored of(keys.view());
  ASSERT_EQ(of.factor.rank, kOrder);
  const auto truth = test::LongDoubleLeverages(keys.view());
  for (const double level : {1e30, 0.0}) {
    const std::vector<double> bounds =
        BoundsOf(KeyFilter::Certain(keys.view(), of.factor, of.inverse, level),
                 keys.view());
    for (std::size_t j = 0; j < truth.size(); ++j) {
      EXPECT_GE(bounds[j] * (1.0 + of.factor.delta),
                static_cast<double>(truth[j]));
      EXPECT_TRUE(std::isfinite(bounds[j]));
    }
  }
}

TEST(KeyFilterSketchTest, EstimatesScatterAsChiSquareDoes) {
  const Matrix<double> keys = test::NormalMatrix(2000, 64, {83});
  const Factored of(keys.view());
  const auto truth = test::LongDoubleLeverages(keys.view());
  const auto ratios = [&](std::uint64_t seed) {
    std::vector<double> bounds = BoundsOf(
        KeyFilter::Sketched(of.factor, of.inverse, {seed}), keys.view());
    for (std::size_t j = 0; j < truth.size(); ++j) {
      bounds[j] /= static_cast<double>(truth[j]);
    }
    return bounds;
  };
  const std::vector<double> one = ratios(1);
  // 10 chi^2_48 / 48: mean 10, deviation 10 sqrt(2 / 48) = 2.04 a key. Keys
  // share W, so that only d = 64 of them are as good as independent: the mean
  // of all is within 6 deviations / 8 of 10 but for one seed in 1e8.
  double mean = 0.0;
  for (const double ratio : one) {
    EXPECT_GT(ratio, 1.0);
    mean += ratio / static_cast<double>(one.size());
  }
  EXPECT_NEAR(mean, 10.0, 6.0 * 2.04 / 8.0);
  EXPECT_EQ(one, ratios(1));
  EXPECT_NE(one, ratios(2));
}

}  // namespace
}  // namespace steelyard
