#include "sensitivity/sensitivity_set.h"

#include <algorithm>
#include <cmath>

#include "gmock/gmock.h"
#include "steelyard/universal_set.h"
#include "tests/core/sensitivity/power_keys.h"
#include "tests/support/allocation_peak.h"
#include "tests/support/attention_fixture.h"
#include "tests/support/bounds.h"
#include "tests/support/long_double_householder.h"
#include "tests/support/matrices.h"
#include "tests/support/power_oracle.h"
#include "tests/support/source_paths.h"

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

// Row 7 of issue 3 on real keys: one head here, all of them in the benchmark.
TEST(RealKeysTest, RecallIsCompleteAndTheSetIsExact) {
  const auto heads = test::LoadHalfHeads(
      test::SourcePath("tests/data/minilm_qkv.safetensors"), "layer3.keys");
  const auto queries = test::LoadHalfHeads(
      test::SourcePath("tests/data/minilm_qkv.safetensors"), "layer3.queries");
  ASSERT_EQ(heads.size(), 12u);
  const auto& keys = heads[4];
  const auto wide = test::Widened(keys.view());
  // A p whose set is neither empty nor everything.
  const UniversalSet set =
      Find(keys.view(), {.epsilon = 0.1, .function = Power{3.0}});
  EXPECT_TRUE(set.exact) << set.method;
  EXPECT_GT(set.indices.size(), 0u);
  EXPECT_LT(set.indices.size(), 512u);
  for (Index i = 0; i < 512; i += 16) {
    std::vector<long double> query;
    for (Index c = 0; c < 32; ++c) query.push_back(queries[4](i, c));
    const auto scores = test::PowerScores(query, wide, Power{3.0});
    for (Index j = 0; j < 512; ++j) {
      if (Holds(set.indices, j)) continue;
      ASSERT_LT(static_cast<double>(scores[static_cast<std::size_t>(j)]), 0.1);
    }
  }
}

TEST(PowerSumTest, NoQueryOfAnyLengthFindsMoreThanIsReported) {
  const Matrix<double> keys = PowerKeys(60, 2, 10.0, Tail::kHeavy, 13);
  const PowerSum sum{.terms = {{.coefficient = 0.5, .p = 1.0},
                               {.coefficient = 2.0, .p = 3.0},
                               {.coefficient = 1.0, .p = 2.0}}};
  const UniversalSet set =
      Find(keys.view(), {.epsilon = 0.05, .function = sum});
  EXPECT_LT(set.indices.size(), 60u);
  const auto wide = test::Widened(keys.view());
  for (Index j = 0; j < 60; ++j) {
    for (const double p : {1.0, 2.0, 3.0}) {
      std::vector<long double> query = test::BestQuery(wide, j, p).query;
      for (const long double length : {1e-6L, 0.1L, 1.0L, 10.0L, 1e6L}) {
        std::vector<long double> scaled = query;
        for (long double& entry : scaled) entry *= length;
        const auto scores = test::PowerScores(scaled, wide, sum);
        for (Index i = 0; i < 60; ++i) {
          if (Holds(set.indices, i)) continue;
          ASSERT_LT(scores[static_cast<std::size_t>(i)], 0.05L);
        }
      }
    }
  }
}

TEST(PowerSetTest, TopMIsTheTrueTop) {
  const Matrix<double> keys = PowerKeys(100, 3, 10.0, Tail::kNormal, 14);
  const UniversalSet all =
      Find(keys.view(), {.top_m = 100, .function = Power{1.5}});
  const UniversalSet top =
      Find(keys.view(), {.top_m = 7, .function = Power{1.5}});
  ASSERT_EQ(top.indices.size(), 7u);
  EXPECT_TRUE(top.exact);
  std::vector<double> sorted = all.sensitivities;
  std::sort(sorted.rbegin(), sorted.rend());
  for (const Index j : top.indices) {
    EXPECT_GE(all.sensitivities[static_cast<std::size_t>(j)],
              sorted[6] * (1.0 - all.relative_score_error));
  }
  EXPECT_NEAR(top.effective_epsilon, sorted[7], 1e-5 * sorted[7]);
}

TEST(PowerSetTest, ZeroKeysHaveNoMembersAndNewDirectionsAlways) {
  const Matrix<float> zeros(40, 3);
  const UniversalSet none =
      Find(zeros.view(), {.epsilon = 0.01, .function = Power{3.0}});
  EXPECT_THAT(none.indices, IsEmpty());
  EXPECT_TRUE(none.exact);
  EXPECT_EQ(none.effective_epsilon, 0.0);

  Matrix<double> keys(40, 2);
  for (Index i = 0; i < 39; ++i) keys(i, 0) = keys(i, 1) = 1.0;
  keys(39, 0) = 1e-17;
  keys(39, 1) = -1e-17;
  const UniversalSet set =
      Find(keys.view(), {.epsilon = 0.5, .function = Power{3.0}});
  EXPECT_THAT(set.indices, ElementsAre(39));
  EXPECT_THAT(set.new_direction, ElementsAre(39));
  EXPECT_THAT(set.sensitivities, ElementsAre(1.0));
}

TEST(PowerSetTest, IntervalsDecideWhoIsInWhatIsABoundAndWhatIsExact) {
  const std::vector<SensitivityInterval> intervals = {
      {0.5, 0.5}, {0.2, 0.4}, {0.05, 0.2}, {0.0, 0.09}, {0.0, 0.0}};
  const UniversalSet set = SelectByIntervals(intervals, {}, {.epsilon = 0.1});
  EXPECT_THAT(set.indices, ElementsAre(0, 1, 2));
  EXPECT_THAT(set.sensitivities, ElementsAre(0.5, 0.4, 0.2));
  EXPECT_THAT(set.upper_bounds, ElementsAre(0, 1, 1));
  EXPECT_THAT(set.undecided, ElementsAre(2));
  EXPECT_EQ(set.effective_epsilon, 0.09);
  EXPECT_FALSE(set.exact);
  const UniversalSet top = SelectByIntervals(intervals, {3}, {.top_m = 2});
  EXPECT_THAT(top.indices, ElementsAre(0, 3));
  EXPECT_THAT(top.undecided, IsEmpty());
  EXPECT_EQ(top.effective_epsilon, 0.4);
  EXPECT_TRUE(top.exact);
}

TEST(PowerSetTest, TheCostCoversTheMemory) {
  const Matrix<double> keys = PowerKeys(2000, 8, 10.0, Tail::kHeavy, 15);
  const UniversalSetOptions options{.epsilon = 0.02, .function = Power{1.5}};
  const Cost cost = CostOfUniversalSet(1, 2000, 8, options, 2);
  EXPECT_GT(cost.flops, CostOfUniversalSet(1, 2000, 8, 2).flops);
  const test::AllocationPeak peak;
  const UniversalSet set = Find(keys.view(), options);
  EXPECT_GT(set.indices.size(), 0u);
  EXPECT_LE(static_cast<double>(peak.bytes()), cost.bytes);
}

TEST(PowerSetTest, StopsWhenAskedAndDoesNotDependOnWorkers) {
  const Matrix<double> keys = PowerKeys(1000, 6, 10.0, Tail::kNormal, 16);
  const UniversalSetOptions options{.epsilon = 0.01, .function = Power{1.0}};
  for (const std::int64_t look : {1, 20, 300}) {
    StopSource stop;
    stop.StopAtLook(look);
    EXPECT_EQ(FindUniversalSet(keys.view(), options,
                               ComputeContext{TwoWorkers(), stop.token()})
                  .status()
                  .code(),
              absl::StatusCode::kCancelled);
  }
  const Workers one(1);
  const auto alone =
      FindUniversalSet(keys.view(), options, ComputeContext{one});
  const UniversalSet shared = Find(keys.view(), options);
  ASSERT_TRUE(alone.ok());
  EXPECT_EQ(alone->indices, shared.indices);
  EXPECT_EQ(alone->sensitivities, shared.sensitivities);
}

}  // namespace
}  // namespace steelyard
