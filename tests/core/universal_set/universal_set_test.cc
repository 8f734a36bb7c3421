#include "steelyard/universal_set.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "gmock/gmock.h"
#include "steelyard/status.h"
#include "tests/support/allocation_peak.h"
#include "tests/support/attention_oracle.h"
#include "tests/support/bounds.h"
#include "tests/support/long_double_householder.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

using test::KeysWithSpectrum;
using test::StoredMatrix;
using testing::ElementsAre;
using testing::IsEmpty;

const Workers& TwoWorkers() {
  static const Workers workers(2);
  return workers;
}

UniversalSet Find(const AnyMatrixView& keys, const UniversalSetOptions& options,
                  const Workers& workers = TwoWorkers()) {
  absl::StatusOr<UniversalSet> set =
      FindUniversalSet(keys, options, ComputeContext{workers});
  EXPECT_TRUE(set.ok()) << set.status();
  return set.ok() ? *set : UniversalSet{};
}

// Every key's sensitivity, by asking for all of them.
std::vector<double> AllScores(const AnyMatrixView& keys) {
  return Find(keys, {.top_m = Rows(keys)}).sensitivities;
}

template <typename T>
class UniversalSetTest : public testing::Test {};
using StorageTypes = testing::Types<Half, BFloat16, float, double>;
TYPED_TEST_SUITE(UniversalSetTest, StorageTypes);

TYPED_TEST(UniversalSetTest, ScoresAreThoseOfTheOracleWithinTheReportedError) {
  for (const double cond : {1.0, 1e2, 1e4}) {
    const auto keys = KeysWithSpectrum<TypeParam>(
        {.rows = 300, .columns = 12, .cond = cond, .seed = Seed{7}});
    const UniversalSet set = Find(keys.view(), {.top_m = 300});
    const auto truth = test::LongDoubleLeverages(keys.view());
    ASSERT_EQ(set.indices.size(), 300u);
    EXPECT_EQ(set.rank, 12);
    EXPECT_LE(set.relative_score_error, 1e-3);
    for (std::size_t j = 0; j < truth.size(); ++j) {
      const auto exact = static_cast<double>(truth[j]);
      EXPECT_LE(std::abs(set.sensitivities[j] - exact),
                set.relative_score_error * exact);
    }
    // Facts of N4: the scores sum to the rank.
    EXPECT_NEAR(set.total_sensitivity, 12.0,
                12.0 * set.relative_score_error + 12.0 * test::Gamma(300));
  }
}

TYPED_TEST(UniversalSetTest, EveryHeavyScoreIsFoundAndNoSmallerSetWouldDo) {
  const auto keys = KeysWithSpectrum<TypeParam>(
      {.rows = 300, .columns = 8, .cond = 1e3, .seed = Seed{11}});
  const UniversalSet set = Find(keys.view(), {.epsilon = 0.05});
  const auto wide = test::Widened(keys.view());
  // Random queries, and for every key the one that attains its score.
  auto random = test::NormalMatrix(300, 8, Seed{12});
  for (const auto& queries :
       {test::Widened(random.view()), test::AttainingQueries(keys.view())}) {
    const auto scores = test::BruteForceScores(queries, wide);
    for (Index i = 0; i < scores.rows(); ++i) {
      for (Index j = 0; j < scores.cols(); ++j) {
        if (std::binary_search(set.indices.begin(), set.indices.end(), j)) {
          continue;
        }
        ASSERT_LT(static_cast<double>(scores(i, j)), 0.05);
        ASSERT_LE(static_cast<double>(scores(i, j)), set.effective_epsilon);
      }
    }
  }
  const auto attained =
      test::BruteForceScores(test::AttainingQueries(keys.view()), wide);
  for (std::size_t u = 0; u < set.indices.size(); ++u) {
    const Index j = set.indices[u];
    EXPECT_NEAR(static_cast<double>(attained(j, j)), set.sensitivities[u],
                set.relative_score_error);
  }
  EXPECT_LE(static_cast<double>(set.indices.size()),
            set.size_bound * std::pow(1.0 + set.relative_score_error, 2));
}

TEST(UniversalSetPropertyTest, IsInvariantUnderInvertibleMaps) {
  const auto keys = KeysWithSpectrum<double>(
      {.rows = 200, .columns = 6, .cond = 10.0, .seed = Seed{1}});
  const auto map = test::MatrixWithSingularValues(
      6, test::GeometricValues(6, 100.0), Seed{2});
  Matrix<double> mapped(200, 6);
  for (Index i = 0; i < 200; ++i) {
    for (Index c = 0; c < 6; ++c) {
      for (Index k = 0; k < 6; ++k) mapped(i, c) += keys(i, k) * map(k, c);
    }
  }
  const auto before = AllScores(keys.view());
  const auto after = AllScores(mapped.view());
  for (std::size_t j = 0; j < 200; ++j) {
    EXPECT_NEAR(before[j], after[j], test::HouseholderBound(6, 1e3));
  }
}

TEST(UniversalSetPropertyTest, MovesWithItsRows) {
  const auto keys = KeysWithSpectrum<double>(
      {.rows = 100, .columns = 5, .cond = 50.0, .seed = Seed{3}});
  Matrix<double> moved(100, 5);
  for (Index i = 0; i < 100; ++i) {
    for (Index c = 0; c < 5; ++c) moved((i * 37 + 11) % 100, c) = keys(i, c);
  }
  const auto before = AllScores(keys.view());
  const auto after = AllScores(moved.view());
  for (Index i = 0; i < 100; ++i) {
    EXPECT_NEAR(before[static_cast<std::size_t>(i)],
                after[static_cast<std::size_t>((i * 37 + 11) % 100)],
                test::HouseholderBound(5, 50.0));
  }
}

TEST(UniversalSetPropertyTest,
     ADuplicateSharesTheScoreAndMoreKeysNeverRaiseIt) {
  const auto keys = KeysWithSpectrum<double>(
      {.rows = 80, .columns = 5, .cond = 5.0, .seed = Seed{4}});
  Matrix<double> longer(81, 5);
  for (Index i = 0; i < 81; ++i) {
    for (Index c = 0; c < 5; ++c) longer(i, c) = keys(i < 80 ? i : 17, c);
  }
  const auto before = AllScores(keys.view());
  const auto after = AllScores(longer.view());
  const double expected = before[17] / (1.0 + before[17]);
  const double bound = test::HouseholderBound(5, 5.0);
  EXPECT_NEAR(after[17], expected, bound);
  EXPECT_NEAR(after[80], expected, bound);
  for (std::size_t j = 0; j < 80; ++j) {
    EXPECT_LE(after[j], before[j] * (1.0 + bound));
  }
}

TEST(UniversalSetPropertyTest, EpsilonExactlyAtAScoreIsUndecided) {
  const auto keys = KeysWithSpectrum<double>(
      {.rows = 60, .columns = 4, .cond = 3.0, .seed = Seed{6}});
  const auto scores = AllScores(keys.view());
  const double epsilon = *std::max_element(scores.begin(), scores.end());
  const UniversalSet set = Find(keys.view(), {.epsilon = epsilon});
  ASSERT_EQ(set.indices.size(), 1u);
  EXPECT_EQ(set.undecided, set.indices);
  EXPECT_FALSE(set.exact);
}

// Edge shapes.

TEST(UniversalSetEdgeTest, OneKeyOneColumn) {
  Matrix<double> keys(1, 1);
  keys(0, 0) = -3.0;
  const UniversalSet set = Find(keys.view(), {.epsilon = 0.5});
  EXPECT_THAT(set.indices, ElementsAre(0));
  EXPECT_NEAR(set.sensitivities[0], 1.0, test::Gamma(8));
  EXPECT_EQ(set.rank, 1);
}

TEST(UniversalSetEdgeTest, FewerKeysThanColumnsAllScoreOne) {
  const Matrix<double> keys = test::NormalMatrix(5, 9, Seed{8});
  const UniversalSet set = Find(keys.view(), {.epsilon = 0.9});
  EXPECT_THAT(set.indices, ElementsAre(0, 1, 2, 3, 4));
  EXPECT_EQ(set.rank, 5);
  for (const double score : set.sensitivities) {
    EXPECT_NEAR(score, 1.0, test::HouseholderBound(9, 100.0));
  }
}

TEST(UniversalSetEdgeTest, ZeroKeysHaveNoMembers) {
  const Matrix<float> keys(40, 3);
  const UniversalSet set = Find(keys.view(), {.epsilon = 0.01});
  EXPECT_THAT(set.indices, IsEmpty());
  EXPECT_EQ(set.rank, 0);
  EXPECT_EQ(set.relative_score_error, 0.0);
  EXPECT_EQ(set.total_sensitivity, 0.0);
  EXPECT_TRUE(set.exact);
}

TEST(UniversalSetEdgeTest, ZeroRowsZeroColumnsAndDuplicatesLowerTheRank) {
  Matrix<double> keys = test::NormalMatrix(50, 6, Seed{9});
  for (Index i = 0; i < 50; ++i) {
    keys(i, 2) = 0.0;
    keys(i, 5) = keys(i, 0);
    if (i % 7 == 0) std::fill_n(keys.row(i), 6, 0.0);
  }
  const UniversalSet set = Find(keys.view(), {.top_m = 50});
  const auto truth = test::LongDoubleLeverages(keys.view(), 4);
  EXPECT_EQ(set.rank, 4);
  EXPECT_THAT(set.new_direction, IsEmpty());
  for (std::size_t j = 0; j < 50; ++j) {
    EXPECT_NEAR(set.sensitivities[j], static_cast<double>(truth[j]),
                test::HouseholderBound(6, 10.0));
  }
}

TEST(UniversalSetEdgeTest, ScaleDoesNotMatter) {
  const auto keys = KeysWithSpectrum<double>(
      {.rows = 60, .columns = 4, .cond = 10.0, .seed = Seed{10}});
  const auto plain = AllScores(keys.view());
  for (const double scale : {1e300, 1e-300, 5e-320}) {
    Matrix<double> scaled(60, 4);
    for (Index i = 0; i < 60; ++i) {
      // Bad column scales, too.
      for (Index c = 0; c < 4; ++c) {
        scaled(i, c) = keys(i, c) * (c == 1 ? scale : 1.0);
      }
    }
    const auto scores = AllScores(scaled.view());
    // A denormal keeps few bits: compare with what was really stored.
    const auto truth = test::LongDoubleLeverages(scaled.view());
    for (std::size_t j = 0; j < 60; ++j) {
      EXPECT_NEAR(scores[j], static_cast<double>(truth[j]),
                  test::HouseholderBound(4, 1e4));
      if (scale != 5e-320) {
        EXPECT_NEAR(scores[j], plain[j], test::HouseholderBound(4, 1e4));
      }
    }
  }
}

// A key of size 1e-17 alone in a direction has sensitivity 1. Along a column
// the column scales see it; rotated, only the rank rule does.
TEST(UniversalSetEdgeTest, ATinyKeyAloneInItsDirectionIsAMember) {
  for (const bool rotated : {false, true}) {
    const Matrix<double> normal = test::NormalMatrix(100, 5, Seed{13});
    const Matrix<double> turn = test::RandomOrthogonal(6, 6, Seed{14});
    Matrix<double> keys(101, 6);
    for (Index i = 0; i < 101; ++i) {
      double key[6] = {};
      if (i == 42) {
        key[5] = 1e-17;
      } else {
        std::copy_n(normal.row(i < 42 ? i : i - 1), 5, key);
      }
      for (Index c = 0; c < 6; ++c) {
        if (!rotated) keys(i, c) = key[c];
        for (Index k = 0; rotated && k < 6; ++k) {
          keys(i, c) += key[k] * turn(k, c);
        }
      }
    }
    const UniversalSet set = Find(keys.view(), {.epsilon = 0.5});
    EXPECT_THAT(set.indices, ElementsAre(42)) << rotated;
    EXPECT_NEAR(set.sensitivities[0], 1.0, test::HouseholderBound(6, 10.0));
    EXPECT_EQ(set.new_direction.size(), rotated ? 1u : 0u);
  }
}

// So short that their squares, or they themselves beside the column norms,
// leave the range of float64: alone in their directions they still score 1.
TEST(UniversalSetEdgeTest, AKeyBelowTheRangeOfSquaresIsAMember) {
  for (const double length : {1e-170, 1e-290, 1e-307}) {
    Matrix<double> keys = test::NormalMatrix(50, 3, Seed{16});
    for (Index i = 0; i < 50; ++i) {
      for (Index c = 0; c < 3; ++c) keys(i, c) *= 1e300;
      // (1, -1, 0) is in nobody's row space but that of key 7.
      keys(i, 1) = keys(i, 0);
    }
    for (Index c = 0; c < 3; ++c) keys(7, c) = keys(9, c) = 0.0;
    keys(7, 0) = length;
    keys(7, 1) = -length;
    const UniversalSet set = Find(keys.view(), {.epsilon = 0.9});
    EXPECT_THAT(set.indices, ElementsAre(7)) << length;
    EXPECT_THAT(set.new_direction, ElementsAre(7)) << length;
    EXPECT_EQ(set.rank, 2);
  }
}

TEST(UniversalSetEdgeTest, FewKeysWhoseLeadingColumnsVanishKeepTheirRank) {
  Matrix<double> keys(2, 4);
  keys(0, 3) = 2.0;
  keys(1, 2) = 3.0;
  const UniversalSet set = Find(keys.view(), {.epsilon = 0.5});
  EXPECT_EQ(set.rank, 2);
  EXPECT_THAT(set.indices, ElementsAre(0, 1));
  EXPECT_THAT(set.new_direction, ElementsAre());
}

TEST(UniversalSetEdgeTest, IllConditionedKeysStayCertified) {
  for (const double cond : {1e8, 1e11}) {
    const auto keys = KeysWithSpectrum<double>(
        {.rows = 200, .columns = 6, .cond = cond, .seed = Seed{15}});
    const UniversalSet set = Find(keys.view(), {.top_m = 200});
    const auto truth = test::LongDoubleLeverages(keys.view());
    for (std::size_t j = 0; j < truth.size(); ++j) {
      const auto exact = static_cast<double>(truth[j]);
      EXPECT_LE(std::abs(set.sensitivities[j] - exact),
                set.relative_score_error * exact)
          << cond;
    }
  }
}

// Bad input, stops, threads.

TEST(UniversalSetErrorTest, NamesTheFirstBadNumberOfAllHeads) {
  std::vector<Matrix<double>> heads;
  // Of different lengths.
  for (const std::uint64_t h : {0, 1, 2}) {
    heads.push_back(
        test::NormalMatrix(20 - 5 * static_cast<Index>(h), 4, Seed{h}));
  }
  heads[1](7, 2) = std::numeric_limits<double>::quiet_NaN();
  heads[2](0, 0) = std::numeric_limits<double>::infinity();
  const std::vector<AnyMatrixView> views(
      {heads[0].view(), heads[1].view(), heads[2].view()});
  const auto sets =
      FindUniversalSets(views, {.epsilon = 0.1}, ComputeContext{TwoWorkers()});
  ASSERT_EQ(sets.status().code(), absl::StatusCode::kInvalidArgument);
  const auto detail = DetailOf(sets.status());
  ASSERT_TRUE(detail.has_value());
  EXPECT_EQ(detail->reason, "NOT_FINITE");
  EXPECT_EQ(detail->field, "keys");
  EXPECT_EQ(detail->metadata.at("index"), std::to_string((20 + 7) * 4 + 2));
}

TEST(UniversalSetErrorTest, AStopEndsTheWorkWithinABlockAWorker) {
  const Matrix<double> keys = test::NormalMatrix(20000, 16, Seed{16});
  const ComputeContext plain{TwoWorkers()};
  StopSource counting;
  const ComputeContext counted{TwoWorkers(), counting.token()};
  ASSERT_TRUE(FindUniversalSet(keys.view(), {.epsilon = 0.1}, counted).ok());
  const std::int64_t looks = counting.token().looks();
  ASSERT_GT(looks, 20);
  for (const std::int64_t at : {std::int64_t{1}, looks / 2, looks - 1}) {
    StopSource source;
    source.StopAtLook(at);
    const ComputeContext context{TwoWorkers(), source.token()};
    const auto set = FindUniversalSet(keys.view(), {.epsilon = 0.1}, context);
    EXPECT_EQ(set.status().code(), absl::StatusCode::kCancelled);
  }
}

TEST(UniversalSetErrorTest, ADrainingServerEndsTheWork) {
  const Matrix<double> keys = test::NormalMatrix(100, 4, Seed{16});
  StopSource source;
  source.RequestStop(StopReason::kDraining);
  const ComputeContext context{TwoWorkers(), source.token()};
  const auto set = FindUniversalSet(keys.view(), {.epsilon = 0.1}, context);
  EXPECT_EQ(set.status().code(), absl::StatusCode::kAborted);
}

TEST(UniversalSetDeterminismTest, AnyNumberOfWorkersGivesTheSameBits) {
  const auto keys = KeysWithSpectrum<float>(
      {.rows = 5000, .columns = 20, .cond = 100.0, .seed = Seed{17}});
  const Workers one(1);
  const UniversalSet first = Find(keys.view(), {.top_m = 5000}, one);
  for (const int count : {2, 3, 4}) {
    const Workers many(count);
    const UniversalSet set = Find(keys.view(), {.top_m = 5000}, many);
    EXPECT_EQ(set.sensitivities, first.sensitivities);
    EXPECT_EQ(set.total_sensitivity, first.total_sensitivity);
    EXPECT_EQ(set.relative_score_error, first.relative_score_error);
  }
}

TEST(UniversalSetCostTest, GrowsWithEveryExtent) {
  const Cost small = CostOfUniversalSet(1, 1000, 16, 2);
  EXPECT_GE(small.flops, 2.0 * 1000 * 16 * 16);
  EXPECT_GT(CostOfUniversalSet(2, 1000, 16, 2).flops, small.flops);
  EXPECT_GT(CostOfUniversalSet(1, 2000, 16, 2).bytes, small.bytes);
  EXPECT_GT(CostOfUniversalSet(1, 1000, 32, 2).bytes, small.bytes);
}

// Of every kind of set, with heads side by side.
TEST(UniversalSetCostTest, BoundsWhatIsAllocated) {
  const Index n = 4000, d = 24;
  const Matrix<double> keys = test::NormalMatrix(n, d, Seed{23});
  const std::vector<AnyMatrixView> heads(3, AnyMatrixView(keys.view()));
  const Workers workers(2);
  for (const UniversalSetOptions& options : std::vector<UniversalSetOptions>{
           {.epsilon = 0.01},
           {.epsilon = 0.01, .causal = true},
           {.epsilon = 0.01,
           .ridge = RidgeVariant{.lambda = 1.0, .ratio = 1.0}},
           {.epsilon = 0.01,
           .function = Softmax{SoftmaxMode::kHeuristic, 0.5}}}) {
    const test::AllocationPeak peak;
    ASSERT_TRUE(
        FindUniversalSets(heads, options, ComputeContext{workers}).ok());
    EXPECT_LE(static_cast<double>(peak.bytes()),
              CostOfUniversalSet(3, n, d, options, 2).bytes)
        << options.causal << options.ridge.has_value();
  }
}

}  // namespace
}  // namespace steelyard
