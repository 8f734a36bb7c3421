#include "universal_set/norm_bound.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/bounds.h"
#include "tests/support/long_double_householder.h"
#include "tests/support/matrices.h"
#include "universal_set/block_scores.h"

namespace steelyard {
namespace {

const Workers& OneWorker() {
  static const Workers workers(1);
  return workers;
}

// R of keys with known singular values, 1 the largest.
Matrix<double> UpperWithNormOne(Index m, double cond) {
  const auto keys = test::KeysWithSpectrum<double>(
      {.rows = m + 10, .columns = m, .cond = cond, .seed = {84}});
  const ColumnScales none{std::vector<int>(static_cast<std::size_t>(m), 0)};
  return FactorMatrix(keys.view(), none, {.method = FactorMethod::kQr},
                      {OneWorker()})
      ->r;
}

TEST(LargestSquareBoundTest, BoundsTheLargestEigenvalueFromAboveAndClosely) {
  for (const Index m : {1, 2, 9, 50, 130}) {
    for (const double cond : {1.0, 1.001, 10.0, 1e3, 1e8}) {
      const Matrix<double> upper = UpperWithNormOne(m, m == 1 ? 1.0 : cond);
      const double rounding = test::HouseholderBound(m, 1.0);
      const double estimate = LargestSquareEstimate(BlockOf(upper));
      EXPECT_LE(estimate, 1.0 + rounding);
      const double bound = LargestSquareBound(BlockOf(upper));
      EXPECT_GE(bound, 1.0 - rounding);
      // 1.05 of an estimate that is too low, then steps of 1.1, and rounding.
      EXPECT_LE(bound, 1.1 * 1.05 * (1.0 + rounding + test::Gamma(16 * m * m)));
      EXPECT_GE(bound, estimate);
    }
  }
}

TEST(LargestSquareBoundTest, SaysNothingWhereProductsOverflowOrVanish) {
  for (const double size :
       {1e-200, 1e200, 1e308, std::numeric_limits<double>::infinity(),
        std::numeric_limits<double>::quiet_NaN()}) {
    Matrix<double> upper(3, 3);
    for (Index i = 0; i < 3; ++i) upper(i, i) = i == 1 ? size : 1e-200;
    EXPECT_EQ(LargestSquareBound(BlockOf(std::as_const(upper))),
              std::numeric_limits<double>::infinity())
        << size;
  }
}

template <typename T>
class NormBoundTest : public testing::Test {};
using Storages = testing::Types<double, float, Half, BFloat16>;
TYPED_TEST_SUITE(NormBoundTest, Storages);

TYPED_TEST(NormBoundTest, LengthsTimesTheBoundAreAboveEveryScore) {
  for (const Index d : {1, 5, 33}) {
    for (const double cond : {1.0, 1e2, 1e6, 1e8}) {
      if (d == 1 && cond > 1.0) continue;
      auto keys = test::KeysWithSpectrum<TypeParam>(
          {.rows = 200, .columns = d, .cond = cond, .seed = {85}});
      // Zero keys; a column 2^-9 times the others.
      for (Index i = 0; i < 200; ++i) {
        for (Index c = 0; c < d; ++c) {
          if (i % 40 == 3) keys.Set(i, c, 0.0);
          if (c == 2) keys.Set(i, c, std::ldexp(keys(i, c), -9));
        }
      }
      RowLengths lengths = LengthsToMeasure(keys.view());
      const auto factor = ScanAndFactorMatrix(keys.view(), "keys", {},
                                              {OneWorker()}, 0, &lengths);
      ASSERT_TRUE(factor.ok());
      ASSERT_EQ(lengths.squares.size(), 200u);
      if (factor->rank < d) continue;
      const Matrix<double> inverse = *UpperInverse(factor->r, {OneWorker()});
      const Matrix<double> right =
          InverseForLengths(inverse, factor->scales, lengths);
      const double mu = LargestSquareBound(BlockOf(right));
      const auto truth = test::LongDoubleLeverages(keys.view());
      for (std::size_t j = 0; j < truth.size(); ++j) {
        // A key of zeros scores 0: what the oracle says of it is rounding.
        if (j % 40 == 3) continue;
        EXPECT_GE(
            mu * lengths.Above(lengths.squares[j]) * (1.0 + factor->delta),
            static_cast<double>(truth[j]));
      }
    }
  }
}

}  // namespace
}  // namespace steelyard
