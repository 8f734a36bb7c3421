#include "queries/query_block.h"

#include <cmath>

#include "gtest/gtest.h"
#include "tests/support/bounds.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

TEST(QueryBlockTest, NormalizerIsTheSumOfSquares) {
  const Workers workers(2);
  const ComputeContext context{workers};
  const Matrix<double> keys = test::NormalMatrix(300, 600, Seed{1});
  const Matrix<double> queries = test::NormalMatrix(70, 600, Seed{2});
  const auto scales = ScanColumns(keys.view(), "keys", context);
  const auto factor = FactorMatrix(keys.view(), *scales, {}, context);
  ASSERT_TRUE(factor.ok());
  AlignedVector<double> scaled(kQueryBlock * 600), work(64 * kFactorColumns);
  for (const Index first : {Index{0}, kQueryBlock}) {
    QueryBlock block = LoadQueries(queries.view(), first,
                                   factor->scales.exponents, scaled.data());
    ASSERT_EQ(block.count, first == 0 ? 64 : 6);
    ComputeNormalizers(*factor, {}, work.data(), &block);
    for (Index i = 0; i < block.count; ++i) {
      long double z = 0.0L;
      for (Index j = 0; j < 300; ++j) {
        long double t = 0.0L;
        for (Index c = 0; c < 600; ++c) {
          t += static_cast<long double>(queries(first + i, c)) * keys(j, c);
        }
        z += t * t;
      }
      const double ours = std::ldexp(block.z[i], 2 * block.exponents[i]);
      // Rank 300 of 600: by Householder, against this query.
      EXPECT_NEAR(ours, static_cast<double>(z),
                  static_cast<double>(z) * block.delta[i]);
      EXPECT_LT(block.delta[i], test::HouseholderBound(600, 1e3));
    }
  }
}

TEST(QueryBlockTest, QueriesComeNearOneWhateverTheirSize) {
  Matrix<double> queries(2, 2);
  queries(0, 0) = 3e300;
  queries(0, 1) = 1e-300;
  AlignedVector<double> scaled(kQueryBlock * 2);
  const QueryBlock block =
      LoadQueries(queries.view(), 0, {100, -100}, scaled.data());
  EXPECT_EQ(block.exponents[0], std::ilogb(3e300) + 100);
  EXPECT_EQ(scaled[0], std::ldexp(3e300, -std::ilogb(3e300)));
  EXPECT_EQ(block.exponents[1], 0);
  EXPECT_EQ(block.norms[1], 0.0);
}

TEST(QueryBlockTest, SmallNormalizersCountAsZero) {
  // (4 d u |K| |q|)^2, d = 2
  const double edge = 8.0 * test::kUnitRoundoff * 3.0 * 5.0;
  EXPECT_TRUE(IsUndefined(edge * edge, 5.0, 3.0, 2));
  EXPECT_FALSE(IsUndefined(std::nextafter(edge * edge, 1.0), 5.0, 3.0, 2));
  EXPECT_TRUE(IsUndefined(0.0, 0.0, 3.0, 2));
}

TEST(QueryBlockTest, NormalizersOutsideTheRangeKeepTheirExponent) {
  HeavyRow row;
  SetNormalizer(1.5, 10, &row);
  EXPECT_EQ(row.normalizer, 1536.0);
  EXPECT_EQ(row.normalizer_exponent, 0);
  for (const int exponent : {1100, -1100}) {
    SetNormalizer(1.5, exponent, &row);
    EXPECT_EQ(row.normalizer, 1.5);
    EXPECT_EQ(row.normalizer_exponent, exponent);
  }
}

TEST(QueryBlockTest, NormIsEuclidean) {
  const double x[] = {3.0, 4.0};
  EXPECT_EQ(EuclideanNorm(x, 2), 5.0);
  EXPECT_EQ(EuclideanNorm(x, 0), 0.0);
}

}  // namespace
}  // namespace steelyard
