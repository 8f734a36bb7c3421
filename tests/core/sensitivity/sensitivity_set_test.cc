#include "sensitivity/sensitivity_set.h"

#include <algorithm>
#include <cmath>

#include "gmock/gmock.h"
#include "steelyard/universal_set.h"
#include "tests/core/sensitivity/power_keys.h"
#include "tests/support/bounds.h"
#include "tests/support/long_double_householder.h"
#include "tests/support/matrices.h"
#include "tests/support/power_oracle.h"

namespace steelyard {
namespace {

using test::PowerKeys;
using test::Tail;
using testing::ElementsAre;
using testing::IsEmpty;

const Workers& TwoWorkers() {
  static const Workers workers(2);
  return workers;
}

UniversalSet Find(const AnyMatrixView& keys,
                  const UniversalSetOptions& options) {
  absl::StatusOr<UniversalSet> set =
      FindUniversalSet(keys, options, ComputeContext{TwoWorkers()});
  EXPECT_TRUE(set.ok()) << set.status();
  return set.ok() ? *set : UniversalSet{};
}

bool Holds(const std::vector<Index>& indices, Index j) {
  return std::binary_search(indices.begin(), indices.end(), j);
}

// What the oracle finds is from below.
constexpr double kOracle = 1e-8;

class PowerTest : public testing::TestWithParam<double> {};

TEST_P(PowerTest, SensitivitiesAreThoseOfTheConvexSolver) {
  const double p = GetParam();
  for (const Tail tail : {Tail::kNormal, Tail::kHeavy}) {
    const Matrix<double> keys = PowerKeys(40, 3, 100.0, tail, 5);
    const UniversalSet set =
        Find(keys.view(), {.top_m = 40, .function = Power{p}});
    ASSERT_EQ(set.indices.size(), 40u);
    EXPECT_TRUE(set.exact) << set.method;
    EXPECT_THAT(set.upper_bounds, IsEmpty());
    // Half the width of a tight interval.
    EXPECT_LE(set.relative_score_error, 1e-6);
    const auto wide = test::Widened(keys.view());
    for (Index j = 0; j < 40; j += 13) {
      const auto truth =
          static_cast<double>(test::BestQuery(wide, j, p).sensitivity);
      const double reported = set.sensitivities[static_cast<std::size_t>(j)];
      const double tolerance = set.relative_score_error * reported;
      EXPECT_LE(truth, reported + tolerance) << j;
      EXPECT_GE(truth * (1.0 + kOracle), reported - tolerance) << j;
    }
  }
}

TEST_P(PowerTest, TheSetIsExactAndEveryAttainingQueryIsFound) {
  const double p = GetParam();
  const Matrix<double> keys = PowerKeys(80, 2, 10.0, Tail::kNormal, 9);
  const double epsilon = 0.1;
  const UniversalSet set =
      Find(keys.view(), {.epsilon = epsilon, .function = Power{p}});
  const auto wide = test::Widened(keys.view());
  std::size_t truly = 0;
  for (Index j = 0; j < 80; ++j) {
    const test::PowerOptimum best = test::BestQuery(wide, j, p);
    const auto scores = test::PowerScores(best.query, wide, Power{p});
    if (best.sensitivity >= epsilon) ++truly;
    for (Index i = 0; i < 80; ++i) {
      if (Holds(set.indices, i)) continue;
      const auto score =
          static_cast<double>(scores[static_cast<std::size_t>(i)]);
      ASSERT_LT(score, epsilon);
      ASSERT_LE(score, set.effective_epsilon);
    }
  }
  EXPECT_EQ(set.indices.size(), truly);
  EXPECT_TRUE(set.exact);
  EXPECT_LE(static_cast<double>(set.indices.size()), set.size_bound);
}

TEST_P(PowerTest, NothingIsLostToRankDeficiencyZerosOrDuplicates) {
  const double p = GetParam();
  // Rank 2 of 4 columns; rows 0 and 1 equal, row 2 zero.
  const Matrix<double> thin = PowerKeys(50, 2, 2.0, Tail::kHeavy, 21);
  const Matrix<double> embed = test::RandomOrthogonal(4, 2, Seed{3});
  Matrix<double> keys(50, 4);
  Matrix<double> low(50, 2);
  for (Index i = 0; i < 50; ++i) {
    for (Index k = 0; k < 2; ++k) {
      low(i, k) = i == 2 ? 0.0 : thin(i == 1 ? 0 : i, k);
      for (Index c = 0; c < 4; ++c) keys(i, c) += low(i, k) * embed(c, k);
    }
  }
  const UniversalSet set =
      Find(keys.view(), {.top_m = 50, .function = Power{p}});
  EXPECT_EQ(set.rank, 2);
  EXPECT_EQ(set.sensitivities[2], 0.0);
  EXPECT_THAT(set.new_direction, IsEmpty());
  const auto wide = test::Widened(low.view());
  for (Index j = 1; j < 50; j += 4) {
    const auto truth =
        static_cast<double>(test::BestQuery(wide, j, p).sensitivity);
    const double reported = set.sensitivities[static_cast<std::size_t>(j)];
    // The embedding rounds each entry once: relative errors of p u cond.
    const double tolerance = (set.relative_score_error + kOracle) * reported;
    EXPECT_NEAR(truth, reported, tolerance) << j;
  }
}

TEST_P(PowerTest, ScalesOfKeysAndColumnsDoNotMatter) {
  const double p = GetParam();
  const Matrix<double> keys = PowerKeys(40, 3, 10.0, Tail::kNormal, 30);
  const UniversalSet plain =
      Find(keys.view(), {.top_m = 40, .function = Power{p}});
  Matrix<double> scaled(40, 3);
  for (Index i = 0; i < 40; ++i) {
    for (Index c = 0; c < 3; ++c) {
      scaled(i, c) = std::ldexp(keys(i, c), static_cast<int>(c - 1) * 900);
    }
  }
  const UniversalSet moved =
      Find(scaled.view(), {.top_m = 40, .function = Power{p}});
  EXPECT_EQ(plain.sensitivities, moved.sensitivities);
  EXPECT_EQ(plain.effective_epsilon, moved.effective_epsilon);
}

INSTANTIATE_TEST_SUITE_P(Powers, PowerTest,
                         testing::Values(1.0, 1.01, 1.5, 1.999999, 2.000001,
                                         2.5, 3.0, 4.0, 6.0, 12.0, 64.0));

}  // namespace
}  // namespace steelyard
