#include "steelyard/heavy_scores.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "gmock/gmock.h"
#include "steelyard/status.h"
#include "tests/core/queries/score_oracle.h"
#include "tests/support/allocation_peak.h"
#include "tests/support/attention_oracle.h"
#include "tests/support/bounds.h"
#include "tests/support/long_double_householder.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

using test::ExpectSameAsBruteForce;
using test::KeysWithSpectrum;
using testing::ElementsAre;
using testing::IsEmpty;

const Workers& TwoWorkers() {
  static const Workers workers(2);
  return workers;
}

std::vector<HeavyRow> Find(const std::vector<AnyMatrixView>& keys,
                           const std::vector<AnyMatrixView>& queries,
                           double epsilon) {
  auto rows = FindHeavyScores(keys, queries, {.epsilon = epsilon},
                              ComputeContext{TwoWorkers()});
  EXPECT_TRUE(rows.ok()) << rows.status();
  return rows.ok() ? *rows : std::vector<HeavyRow>{};
}

template <typename T>
class HeavyScoresTest : public testing::Test {};
using StorageTypes = testing::Types<Half, BFloat16, float, double>;
TYPED_TEST_SUITE(HeavyScoresTest, StorageTypes);

TYPED_TEST(HeavyScoresTest, EqualsBruteForceForRandomAndAttainingQueries) {
  const auto keys = KeysWithSpectrum<TypeParam>(
      {.rows = 250, .columns = 8, .cond = 1e3, .seed = Seed{1}});
  const auto wide = test::Widened(keys.view());
  const double slack = test::GramBound(256, 8, 1e3);
  const auto attaining = test::AttainingQueries(keys.view());
  Matrix<double> queries = test::NormalMatrix(250, 8, Seed{2});
  for (Index i = 0; i < 125; ++i) {
    for (Index c = 0; c < 8; ++c) {
      queries(i, c) = static_cast<double>(attaining(i, c));
    }
  }
  // The queries as they are stored: rounded to the type.
  const auto stored = test::Stored<TypeParam>(queries);
  const auto rows = Find({keys.view()}, {stored.view()}, 0.04);
  const auto scores =
      test::BruteForceScores(test::Widened(stored.view()), wide);
  ASSERT_EQ(rows.size(), 250u);
  for (Index i = 0; i < 250; ++i) {
    const HeavyRow& row = rows[static_cast<std::size_t>(i)];
    EXPECT_FALSE(row.undefined);
    ExpectSameAsBruteForce(row, scores, i, 0.04, slack);
  }
}

TEST(HeavyScoresShapeTest, GroupedQueriesReadTheirKeyHead) {
  std::vector<Matrix<double>> keys, queries;
  std::vector<AnyMatrixView> key_views, query_views;
  for (std::uint64_t h = 0; h < 2; ++h) {
    keys.push_back(test::NormalMatrix(40, 3, Seed{h}));
  }
  for (std::uint64_t g = 0; g < 6; ++g) {
    queries.push_back(test::NormalMatrix(70, 3, Seed{10 + g}));
  }
  for (const auto& head : keys) key_views.push_back(head.view());
  for (const auto& head : queries) query_views.push_back(head.view());
  const auto rows = Find(key_views, query_views, 0.1);
  ASSERT_EQ(rows.size(), 6u * 70u);
  for (Index g = 0; g < 6; ++g) {
    const auto scores = test::BruteForceScores(
        test::Widened(query_views[static_cast<std::size_t>(g)]),
        test::Widened(key_views[static_cast<std::size_t>(g / 3)]));
    for (Index i = 0; i < 70; ++i) {
      ExpectSameAsBruteForce(rows[static_cast<std::size_t>(g * 70 + i)], scores,
                             i, 0.1, test::GramBound(256, 3, 10.0));
    }
  }
}

TEST(HeavyScoresEdgeTest, QueriesInTheNullSpaceHaveNoScores) {
  Matrix<double> keys = test::NormalMatrix(60, 4, Seed{3});
  for (Index i = 0; i < 60; ++i) keys(i, 3) = keys(i, 0);
  Matrix<double> queries(3, 4);
  queries(0, 0) = 1.0;  // (1, 0, 0, -1) is orthogonal to every key
  queries(0, 3) = -1.0;
  queries(2, 1) = 1.0;  // row 1 stays zero
  const auto rows = Find({keys.view()}, {queries.view()}, 0.01);
  EXPECT_TRUE(rows[0].undefined);
  EXPECT_THAT(rows[0].indices, IsEmpty());
  EXPECT_TRUE(rows[1].undefined);
  EXPECT_EQ(rows[1].normalizer, 0.0);
  EXPECT_FALSE(rows[2].undefined);
  const auto scores = test::BruteForceScores(test::Widened(queries.view()),
                                             test::Widened(keys.view()));
  ExpectSameAsBruteForce(rows[2], scores, 2, 0.01,
                         test::HouseholderBound(4, 10.0));
}

// Twelve of a hundred keys leave the row space of (1, 1) by 51 u, too little
// for the rank rule (53 u); the query (1, -1) sees nothing but that.
TEST(HeavyScoresEdgeTest, QueriesNearTheNullSpaceOfDeficientKeysMissNothing) {
  Matrix<double> keys(100, 2);
  for (Index i = 0; i < 100; ++i) {
    keys(i, 0) = 1.0;
    keys(i, 1) = i < 12 ? 1.0 + 36.0 * 0x1p-52 : 1.0;
  }
  Matrix<double> queries(1, 2);
  queries(0, 0) = 1.0;
  queries(0, 1) = -1.0;
  const auto rows = Find({keys.view()}, {queries.view()}, 0.05);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_FALSE(rows[0].undefined);
  for (Index j = 0; j < 12; ++j) {
    EXPECT_THAT(rows[0].indices, testing::Contains(j));  // scores 1 / 12
  }
}

TEST(HeavyScoresEdgeTest, NormalizersOutsideFloat64CarryAnExponent) {
  Matrix<double> keys(2, 1);
  keys(0, 0) = 3e300;
  keys(1, 0) = 4e300;
  Matrix<double> queries(2, 1);
  queries(0, 0) = 1e200;
  queries(1, 0) = 1.0;
  const auto rows = Find({keys.view()}, {queries.view()}, 0.5);
  for (const HeavyRow& row : rows) {
    EXPECT_THAT(row.indices, ElementsAre(1));
    EXPECT_NEAR(row.scores[0], 0.64, test::HouseholderBound(1, 1.0));
    // ln Z = 2 ln(5e300 q)
    const double log_z =
        std::log(row.normalizer) + row.normalizer_exponent * std::log(2.0);
    const double q = &row == &rows[0] ? 200.0 : 0.0;
    EXPECT_NEAR(log_z, 2.0 * (std::log(5.0) + (300.0 + q) * std::log(10.0)),
                log_z * test::Gamma(16));
    EXPECT_NE(row.normalizer_exponent, 0);
  }
}

TEST(HeavyScoresEdgeTest, ZeroKeysLeaveEveryRowUndefined) {
  const Matrix<float> keys(30, 3);
  const Matrix<double> queries = test::NormalMatrix(5, 3, Seed{4});
  for (const HeavyRow& row : Find({keys.view()}, {queries.view()}, 0.1)) {
    EXPECT_TRUE(row.undefined);
    EXPECT_THAT(row.indices, IsEmpty());
  }
}

TEST(HeavyScoresEdgeTest, OneKeyHasTheWholeMass) {
  const Matrix<double> keys = test::NormalMatrix(1, 5, Seed{5});
  const Matrix<double> queries = test::NormalMatrix(2, 5, Seed{6});
  for (const HeavyRow& row : Find({keys.view()}, {queries.view()}, 1.0)) {
    EXPECT_THAT(row.indices, ElementsAre(0));
    EXPECT_NEAR(row.captured_mass, 1.0, test::HouseholderBound(5, 100.0));
  }
}

TEST(HeavyScoresErrorTest, NamesBadQueriesByTheirPlaceInTheTensor) {
  const Matrix<double> keys = test::NormalMatrix(20, 3, Seed{7});
  Matrix<double> good = test::NormalMatrix(4, 3, Seed{8});
  Matrix<double> bad = good;
  bad(2, 1) = -std::numeric_limits<double>::infinity();
  const std::vector<AnyMatrixView> queries({good.view(), bad.view()});
  const std::vector<AnyMatrixView> key_views({keys.view()});
  const auto rows = FindHeavyScores(key_views, queries, {.epsilon = 0.1},
                                    ComputeContext{TwoWorkers()});
  ASSERT_EQ(rows.status().code(), absl::StatusCode::kInvalidArgument);
  const auto detail = DetailOf(rows.status());
  ASSERT_TRUE(detail.has_value());
  EXPECT_EQ(detail->field, "queries");
  EXPECT_EQ(detail->metadata.at("index"), std::to_string((4 + 2) * 3 + 1));
}

TEST(HeavyScoresErrorTest, AStopEndsTheWork) {
  const Matrix<double> keys = test::NormalMatrix(3000, 8, Seed{9});
  const Matrix<double> queries = test::NormalMatrix(500, 8, Seed{10});
  const std::vector<AnyMatrixView> key_views({keys.view()});
  const std::vector<AnyMatrixView> query_views({queries.view()});
  StopSource counting;
  ASSERT_TRUE(FindHeavyScores(key_views, query_views, {.epsilon = 0.1},
                              {TwoWorkers(), counting.token()})
                  .ok());
  for (const std::int64_t at :
       {std::int64_t{1}, counting.token().looks() - 2}) {
    StopSource source;
    source.StopAtLook(at);
    const auto rows = FindHeavyScores(key_views, query_views, {.epsilon = 0.1},
                                      {TwoWorkers(), source.token()});
    EXPECT_EQ(rows.status().code(), absl::StatusCode::kCancelled);
  }
}

// Products with all keys and sets by interval: both sides of the choice.
TEST(HeavyScoresFunctionTest, FewAndManyQueriesGetTheSameAnswer) {
  const Matrix<double> keys = test::NormalMatrix(30, 2, Seed{11});
  const Matrix<double> queries = test::NormalMatrix(30, 2, Seed{12});
  const std::vector<AnyMatrixView> key_views({keys.view()});
  for (const double p : {1.0, 3.0}) {
    const HeavyOptions options{.epsilon = 0.1, .function = Power{p}};
    std::vector<HeavyRow> rows[2];
    for (const std::size_t times : {std::size_t{0}, std::size_t{1}}) {
      // 30 <= 16 d queries of a key head, or 60.
      const std::vector<AnyMatrixView> query_views(1 + times, queries.view());
      const auto found = FindHeavyScores(key_views, query_views, options,
                                         ComputeContext{TwoWorkers()});
      ASSERT_TRUE(found.ok()) << found.status();
      rows[times] = *found;
    }
    const auto scores =
        test::BruteForceScores(options.function, test::Widened(queries.view()),
                               test::Widened(keys.view()));
    for (Index i = 0; i < 30; ++i) {
      for (const auto& answer : rows) {
        ExpectSameAsBruteForce(answer[static_cast<std::size_t>(i)], scores, i,
                               0.1, test::Gamma(1 << 12));
      }
    }
  }
}

TEST(HeavyScoresCausalTest, QueriesSeeTheirPrefix) {
  const Matrix<double> keys = test::NormalMatrix(300, 4, Seed{13});
  const Matrix<double> queries = test::NormalMatrix(300, 4, Seed{14});
  std::vector<Index> positions;
  for (Index i = 0; i < 300; ++i) positions.push_back(i);
  const std::vector<AnyMatrixView> key_views({keys.view()});
  const std::vector<AnyMatrixView> query_views({queries.view()});
  const HeavyOptions options{
      .epsilon = 0.05, .causal = true, .positions = positions};
  const auto rows = FindHeavyScores(key_views, query_views, options,
                                    ComputeContext{TwoWorkers()});
  ASSERT_TRUE(rows.ok());
  const auto scores =
      test::BruteForceScores(options.function, test::Widened(queries.view()),
                             test::Widened(keys.view()), positions);
  for (Index i = 0; i < 300; ++i) {
    ExpectSameAsBruteForce((*rows)[static_cast<std::size_t>(i)], scores, i,
                           0.05, test::Gamma(1 << 12));
  }
}

// The heuristic: shares among the members, whose keys are gone.
TEST(HeavyScoresFunctionTest, SoftmaxOverTheMembersOfASet) {
  const Matrix<double> keys = test::NormalMatrix(80, 3, Seed{19});
  const Matrix<double> queries = test::NormalMatrix(5, 3, Seed{20});
  const std::vector<AnyMatrixView> key_views({keys.view(), keys.view()});
  const std::vector<AnyMatrixView> query_views(4, queries.view());
  const Softmax softmax{SoftmaxMode::kHeuristic, 0.6};
  const auto sets =
      FindQueryableSets(key_views, {.epsilon = 0.06, .function = softmax},
                        ComputeContext{TwoWorkers()});
  ASSERT_TRUE(sets.ok()) << sets.status();
  const std::vector<Index>& members = sets->front().set().indices;
  ASSERT_GT(members.size(), 3u);
  ASSERT_LT(members.size(), 60u);
  const auto rows = FindHeavyScores(*sets, query_views, {.epsilon = 0.05},
                                    ComputeContext{TwoWorkers()});
  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_EQ(rows->size(), 20u);
  Matrix<long double> scores(5, 80);
  for (Index i = 0; i < 5; ++i) {
    long double z = 0.0L;
    for (const Index j : members) {
      long double t = 0.0L;
      for (Index c = 0; c < 3; ++c) {
        t += static_cast<long double>(queries(i, c)) * keys(j, c);
      }
      z += scores(i, j) = std::exp(0.6L * t);
    }
    for (const Index j : members) scores(i, j) /= z;
  }
  for (Index r = 0; r < 20; ++r) {
    ExpectSameAsBruteForce((*rows)[static_cast<std::size_t>(r)], scores, r % 5,
                           0.05, test::Gamma(1 << 12));
  }
}

TEST(HeavyScoresFunctionTest, SumsOfSquaresAreSquares) {
  const Matrix<double> keys = test::NormalMatrix(60, 4, Seed{15});
  const Matrix<double> queries = test::NormalMatrix(5, 4, Seed{16});
  const std::vector<AnyMatrixView> key_views({keys.view()});
  const std::vector<AnyMatrixView> query_views({queries.view()});
  const auto one = FindHeavyScores(key_views, query_views, {.epsilon = 0.1},
                                   ComputeContext{TwoWorkers()});
  const auto sum = FindHeavyScores(
      key_views, query_views,
      {.epsilon = 0.1, .function = PowerSum{{{0.5, 2.0}, {1.5, 2.0}}}},
      ComputeContext{TwoWorkers()});
  ASSERT_TRUE(one.ok() && sum.ok());
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ((*one)[i].scores, (*sum)[i].scores);
    EXPECT_EQ(2.0 * (*one)[i].normalizer, (*sum)[i].normalizer);
  }
}

TEST(HeavyScoresCostTest, GrowsWithQueries) {
  const Cost few = CostOfHeavyScores(1, 1000, 16, 1, 10, 0.1, 2);
  const Cost many = CostOfHeavyScores(1, 1000, 16, 4, 10, 0.1, 2);
  EXPECT_GT(many.flops, few.flops);
  EXPECT_GT(many.bytes, few.bytes);
}

TEST(HeavyScoresCostTest, BoundsWhatIsAllocated) {
  const Index n = 3000, d = 6, m = 300;
  const Matrix<double> keys = test::NormalMatrix(n, d, Seed{17});
  const Matrix<double> queries = test::NormalMatrix(m, d, Seed{18});
  const std::vector<AnyMatrixView> key_views({keys.view()});
  const std::vector<AnyMatrixView> query_views({queries.view()});
  const ComputeContext context{TwoWorkers()};
  for (const ScoreFunction& function :
       std::vector<ScoreFunction>{Power{1.5}, Power{2.0}, Power{4.0},
                                  Softmax{SoftmaxMode::kHeuristic, 0.5}}) {
    const std::size_t p = function.index();
    const HeavyOptions options{.epsilon = 0.01, .function = function};
    {
      const test::AllocationPeak peak;
      ASSERT_TRUE(
          FindHeavyScores(key_views, query_views, options, context).ok());
      const Cost cost = CostOfHeavyScores(1, n, d, 1, m, options, 2);
      EXPECT_LE(static_cast<double>(peak.bytes()), cost.bytes) << p;
    }
    const auto sets = FindQueryableSets(
        key_views, {.epsilon = 0.01, .function = options.function}, context);
    ASSERT_TRUE(sets.ok());
    const test::AllocationPeak peak;
    ASSERT_TRUE(FindHeavyScores(*sets, query_views, options, context).ok());
    const Cost cost = CostOfHeavyScores(*sets, 1, m, options, 2);
    EXPECT_LE(static_cast<double>(peak.bytes()), cost.bytes) << p;
  }
}

TEST(HeavyScoresCostTest, BoundsWhatCertifiedSoftmaxAllocates) {
  const Index n = 3000, d = 6;
  const Matrix<double> keys = test::NormalMatrix(n, d, Seed{17});
  const std::vector<AnyMatrixView> key_views({keys.view(), keys.view()});
  for (const Index m : {1, 300}) {
    const Matrix<double> queries = test::NormalMatrix(m, d, Seed{18});
    const std::vector<AnyMatrixView> query_views(
        {queries.view(), queries.view()});
    for (const double epsilon : {1e-4, 0.01}) {
      const HeavyOptions options{
          .epsilon = epsilon,
          .function = Softmax{SoftmaxMode::kCertified, 0.5}};
      const test::AllocationPeak peak;
      ASSERT_TRUE(FindHeavyScores(key_views, query_views, options,
                                  ComputeContext{TwoWorkers()})
                      .ok());
      EXPECT_LE(static_cast<double>(peak.bytes()),
                CostOfHeavyScores(2, n, d, 2, m, options, 2).bytes)
          << m << " " << epsilon;
    }
  }
}

}  // namespace
}  // namespace steelyard
