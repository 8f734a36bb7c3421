#include "queries/attention_sum.h"

#include <cmath>

#include "gtest/gtest.h"
#include "steelyard/random.h"
#include "tests/core/queries/score_oracle.h"
#include "tests/support/bounds.h"

namespace steelyard {
namespace {

// Weights of three blocks, brought to one unit by the factors, are the shares
// of f; a key that is not attended has none.
TEST(AttentionSumTest, BlocksAddUpToTheShares) {
  const RandomStream random{Seed{1}, 0};
  const std::size_t n = 60;
  std::vector<double> t(n), norms(n, 1.0);
  std::vector<unsigned char> attended(n, 1);
  for (std::size_t u = 0; u < n; ++u) {
    // Growing, so that the unit changes.
    t[u] = random.Normal(u) * std::exp2(static_cast<double>(u) / 6.0 - 5.0);
    if (u % 7 == 3) attended[u] = 0;
  }
  for (const ScoreFunction& function : std::vector<ScoreFunction>{
           Power{1.0}, Power{2.0}, Power{5.5}, Power{64.0},
           PowerSum{{{1.0, 2.0}, {0.3, 4.0}}},
           Softmax{SoftmaxMode::kHeuristic, 0.7}}) {
    for (const int exponent : {0, -3, 200}) {
      const bool softmax = std::holds_alternative<Softmax>(function);
      if (softmax && exponent > 0) continue;  // checked below
      const AttentionFunction f(function);
      AttentionSum sum(f, exponent);
      AttentionSum all(f, exponent);
      std::vector<double> weights(n), some(n);
      all.Add(t.data(), norms.data(), nullptr, n, some.data());
      for (std::size_t first = 0; first < n; first += 20) {
        const double factor = sum.Add(&t[first], &norms[first],
                                      &attended[first], 20, &weights[first]);
        EXPECT_GT(factor, 0.0);
        EXPECT_LE(factor, 1.0);
        for (std::size_t u = 0; u < first; ++u) weights[u] *= factor;
      }
      std::vector<long double> truth(n);
      long double whole = 0.0L, part = 0.0L;
      for (std::size_t u = 0; u < n; ++u) {
        const long double x =
            std::ldexp(static_cast<long double>(t[u]), exponent);
        truth[u] = softmax ? std::exp(0.7L * x) : test::ValueOf(function, x);
        whole += truth[u];
        if (attended[u] != 0) part += truth[u];
      }
      // Logits and logarithms of weights up to 2^15.
      const double slack = test::Gamma(1 << 17);
      for (std::size_t u = 0; u < n; ++u) {
        const double share =
            attended[u] != 0 ? static_cast<double>(truth[u] / part) : 0.0;
        EXPECT_NEAR(weights[u] / sum.sum(), share, slack);
      }
      EXPECT_NEAR(sum.ShareOf(all), static_cast<double>(part / whole), slack);
      EXPECT_EQ(sum.count(), 51);
      if (!softmax) {
        int unit = 0;
        const long double mantissa = std::frexp(whole, &unit);
        EXPECT_NEAR(sum.ShareOf(static_cast<double>(mantissa), unit),
                    static_cast<double>(part / whole), slack);
      }
    }
  }
}

TEST(AttentionSumTest, InfiniteLogitsDifferByTheirProducts) {
  const AttentionFunction f(Softmax{SoftmaxMode::kHeuristic, 1.0});
  AttentionSum sum(f, 1100);  // logits of 2^1100: +-infinity
  const double t[] = {-1.0, 1.0, 1.0, 0.5};
  const double norms[] = {1.0, 1.0, 1.0, 1.0};
  double weights[4];
  EXPECT_EQ(sum.Add(t, norms, nullptr, 1, weights), 1.0);
  EXPECT_EQ(sum.sum(), 1.0);
  EXPECT_EQ(sum.Add(t + 1, norms, nullptr, 3, weights), 0.0);
  EXPECT_EQ(sum.sum(), 2.0);
  EXPECT_EQ(weights[2], 0.0);
}

TEST(AttentionSumTest, NothingIsWhatRoundingCouldHaveMade) {
  const AttentionFunction f(Power{3.0});
  const double norms[] = {1.0, 1.0};
  double weights[2];
  for (const double size : {0.0, 4.0 * test::kUnitRoundoff, 0x1p-40}) {
    const double t[] = {size, -size};
    AttentionSum sum(f, 0);
    EXPECT_EQ(sum.Add(t, norms, nullptr, 2, weights), 1.0);
    // sqrt(2) size against 4 d u sqrt(2), d = 2
    EXPECT_EQ(sum.IsNothing(1.0, 2), size < 0x1p-45);
  }
  const AttentionFunction softmax(Softmax{});
  AttentionSum sum(softmax, 0);
  EXPECT_TRUE(sum.IsNothing(1.0, 2));
  const double t[] = {0.0};
  sum.Add(t, norms, nullptr, 1, weights);
  EXPECT_FALSE(sum.IsNothing(1.0, 2));
}

}  // namespace
}  // namespace steelyard
