#include "queries/score_terms.h"

#include <cmath>

#include "gtest/gtest.h"
#include "steelyard/random.h"
#include "tests/support/bounds.h"

namespace steelyard {
namespace {

constexpr double kPowers[] = {1.0, 1.25, 1.5, 2.0,  2.5,  3.0, 4.0,
                              5.0, 6.0,  7.7, 31.5, 63.0, 64.0};

TEST(ScoreTermsTest, PowersAreRightToTheirRoundoff) {
  const RandomStream random{Seed{1}, 0};
  for (const double p : kPowers) {
    for (std::uint64_t i = 0; i < 200; ++i) {
      const double x = std::exp2(8.0 * (random.Uniform(i) - 0.5));
      const long double truth =
          std::pow(static_cast<long double>(x), static_cast<long double>(p));
      EXPECT_NEAR(PositivePower(x, p), static_cast<double>(truth),
                  static_cast<double>(truth) * PowerRoundoff(p))
          << x << "^" << p;
    }
    EXPECT_EQ(PositivePower(0.0, p), 0.0);
    EXPECT_EQ(PositivePower(1.0, p), 1.0);
  }
}

// t = 2^-300 ... 2^300, so that no power of them is a double at p = 64: sums in
// any order of blocks, merged or not, are the long double sums.
TEST(ScoreTermsTest, SumsFollowTheLargestProduct) {
  const RandomStream random{Seed{2}, 0};
  std::vector<double> t(40), norms(40, 0.0);
  for (std::size_t u = 0; u < t.size(); ++u) {
    t[u] = std::ldexp(random.Uniform(u) - 0.5,
                      static_cast<int>(u * 37 % 600) - 300);
  }
  for (const double p : kPowers) {
    const std::vector<PowerTerm> terms({{.coefficient = 3.0, .p = p}});
    PowerSums sums, first, second;
    AddPowers(terms, t.data(), norms.data(), 15, &first);
    AddPowers(terms, t.data() + 15, norms.data() + 15, 25, &second);
    MergePowers(terms, second, &sums);
    MergePowers(terms, first, &sums);
    EXPECT_EQ(sums.count, 40);
    const ScaledFunction function(terms, -100, sums.shift);
    const SumOfScores total = ScoresOf(sums, function, 0.0);
    long double truth = 0.0L;  // up to 2^(64 * 200): long double holds it
    for (const double x : t) {
      truth += 3.0L *
               std::pow(std::abs(std::ldexp(static_cast<long double>(x), -100)),
                        static_cast<long double>(p));
    }
    const long double ours =
        std::ldexp(static_cast<long double>(total.value), function.exponent());
    // log2 of a power <= 64 * 400 loses 2^15 u in the weight.
    EXPECT_LE(std::abs(ours / truth - 1.0L), test::Gamma(1 << 17)) << p;
    EXPECT_LE(std::ldexp(static_cast<long double>(total.interval.lower),
                         function.exponent()),
              truth);
    EXPECT_GE(std::ldexp(static_cast<long double>(total.interval.upper),
                         function.exponent()),
              truth);
  }
}

TEST(ScoreTermsTest, IntervalsHoldWhateverRoundingDidToTheProducts) {
  const RandomStream random{Seed{3}, 0};
  const Index n = 100;
  const double rounding = 1e-3;
  std::vector<double> exact(n), seen(n), norms(n);
  for (std::size_t u = 0; u < exact.size(); ++u) {
    exact[u] = random.Normal(3 * u);
    norms[u] = random.Uniform(3 * u + 1);
    seen[u] = exact[u] + rounding * norms[u] * random.Sign(3 * u + 2);
  }
  for (const double p : kPowers) {
    const std::vector<PowerTerm> terms(
        {{.coefficient = 1.0, .p = p}, {.coefficient = 2.0, .p = 3.0}});
    PowerSums sums;
    AddPowers(terms, seen.data(), norms.data(), n, &sums);
    const ScaledFunction function(terms, 0, sums.shift);
    const SumOfScores total = ScoresOf(sums, function, rounding);
    double truth = 0.0;
    for (const double x : exact) truth += function(x);
    EXPECT_LE(total.interval.lower, truth) << p;
    EXPECT_GE(total.interval.upper, truth) << p;
    // Minkowski: at most (1 + 2 rounding |K| / |t|)^p of it.
    EXPECT_LE(total.interval.upper - total.interval.lower, 0.5 * truth) << p;
  }
}

TEST(ScoreTermsTest, TermsOfBothKinds) {
  EXPECT_EQ(TermsOf(Power{3.0}).front().p, 3.0);
  EXPECT_EQ(TermsOf(PowerSum{{{2.0, 1.0}, {0.5, 4.0}}}).size(), 2u);
}

}  // namespace
}  // namespace steelyard
