#include "queries/fourth_moments.h"

#include <cmath>

#include "gtest/gtest.h"
#include "queries/query_block.h"
#include "tests/support/bounds.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

TEST(FourthMomentsTest, GiveTheSumOfFourthPowersWithinTheirBound) {
  const Index n = 9000, d = 6;
  for (const double cond : {1.0, 1e4}) {
    const auto keys = test::KeysWithSpectrum<double>(
        {.rows = n, .columns = d, .cond = cond, .seed = Seed{1}});
    const Matrix<double> queries = test::NormalMatrix(5, d, Seed{2});
    std::vector<Matrix<double>> bits;
    for (const int count : {1, 3}) {
      const Workers workers(count);
      const ComputeContext context{workers};
      const auto scales = ScanColumns(keys.view(), "keys", context);
      const auto factor = FactorMatrix(keys.view(), *scales, {}, context);
      ASSERT_TRUE(factor.ok());
      auto moments = FourthMoments(keys.view(), *factor, context);
      ASSERT_TRUE(moments.ok()) << moments.status();
      ASSERT_EQ(moments->rows(), MomentsOrder(d));
      AlignedVector<double> scaled(kQueryBlock * d), work(5 * (6 + 42));
      const QueryBlock block = LoadQueries(
          queries.view(), 0, factor->scales.exponents, scaled.data());
      FourthPowers z[5];
      ComputeFourthPowers(*moments, n, *factor,
                          Block<const double>{block.scaled, 5, d, d},
                          work.data(), z);
      for (Index i = 0; i < 5; ++i) {
        long double truth = 0.0L;
        for (Index j = 0; j < n; ++j) {
          long double t = 0.0L;
          for (Index c = 0; c < d; ++c) {
            t += static_cast<long double>(queries(i, c)) * keys(j, c);
          }
          truth += t * t * t * t;
        }
        truth = std::ldexp(truth, -4 * block.exponents[i]);
        EXPECT_NEAR(z[i].z, static_cast<double>(truth), z[i].error);
        // 15 g (n d)^{1/4} and sums of n / 2 terms, g = (d + 2) u d kappa;
        // |x|^4 sum |y|^4 <= n Z_4 d.
        const double g = test::Gamma(8) * 6.0 * cond;
        EXPECT_LE(z[i].error,
                  z[i].z * (15.0 * g * std::pow(n * 6.0, 0.25) +
                            test::Gamma(n) * static_cast<double>(n * d)));
      }
      bits.push_back(*std::move(moments));
    }
    for (Index a = 0; a < bits[0].size(); ++a) {
      ASSERT_EQ(bits[0].data()[a], bits[1].data()[a]);
    }
  }
}

TEST(FourthMomentsTest, PayWhereTheyAreFewerThanTheKeys) {
  EXPECT_TRUE(MomentsPay(1000, 8));    // 330 < 8000
  EXPECT_FALSE(MomentsPay(1000, 32));  // 52360 > 32000
  EXPECT_TRUE(MomentsPay(2000, 32));
  EXPECT_FALSE(MomentsPay(10000000, 33));
}

TEST(FourthMomentsTest, AStopEndsTheWork) {
  const Matrix<double> keys = test::NormalMatrix(3000, 4, Seed{3});
  const Workers workers(2);
  const auto scales = ScanColumns(keys.view(), "keys", ComputeContext{workers});
  const auto factor =
      FactorMatrix(keys.view(), *scales, {}, ComputeContext{workers});
  StopSource source;
  source.StopAtLook(3);
  EXPECT_EQ(FourthMoments(keys.view(), *factor, {workers, source.token()})
                .status()
                .code(),
            absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace steelyard
