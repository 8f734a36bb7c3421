#include "softmax/heavy_softmax.h"

#include <algorithm>

#include "steelyard/universal_set.h"
#include "tests/core/softmax/softmax_oracle.h"
#include "tests/support/bounds.h"
#include "tests/support/long_double_householder.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

const double kSlack = test::Gamma(1000000);

const Workers& TwoWorkers() {
  static const Workers workers(2);
  return workers;
}

std::vector<HeavyRow> Find(const Matrix<double>& keys,
                           const Matrix<double>& queries,
                           const HeavyOptions& options) {
  const std::vector<AnyMatrixView> key_views({keys.view()});
  const std::vector<AnyMatrixView> query_views({queries.view()});
  const auto rows =
      FindHeavySoftmaxScores(key_views, query_views, options, {TwoWorkers()});
  EXPECT_TRUE(rows.ok()) << rows.status();
  return rows.ok() ? *rows : std::vector<HeavyRow>{};
}

// The rows of `keys` with these indices, and zero scores elsewhere.
Matrix<long double> ScoresAmong(const Matrix<double>& queries,
                                const Matrix<double>& keys,
                                const std::vector<Index>& members) {
  Matrix<long double> part(static_cast<Index>(members.size()), keys.cols());
  for (Index u = 0; u < part.rows(); ++u) {
    for (Index c = 0; c < keys.cols(); ++c) {
      part(u, c) = keys(members[static_cast<std::size_t>(u)], c);
    }
  }
  const auto among =
      test::BruteForceSoftmax(test::Widened(queries.view()), part, 0.5);
  Matrix<long double> scores(queries.rows(), keys.rows());
  for (Index i = 0; i < queries.rows(); ++i) {
    for (Index u = 0; u < part.rows(); ++u) {
      scores(i, members[static_cast<std::size_t>(u)]) = among(i, u);
    }
  }
  return scores;
}

TEST(HeavySoftmaxTest, CertifiedEqualsBruteForceForFewAndManyQueries) {
  const Matrix<double> keys = test::NormalMatrix(400, 5, Seed{1});
  for (const Index m : {3, 130}) {
    const Matrix<double> queries = test::NormalMatrix(m, 5, Seed{2});
    const auto scores = test::BruteForceSoftmax(
        test::Widened(queries.view()), test::Widened(keys.view()), 0.5);
    const auto rows = Find(
        keys, queries, {.epsilon = 0.01, .function = Softmax{.scale = 0.5}});
    for (Index i = 0; i < m; ++i) {
      test::ExpectProven(rows[static_cast<std::size_t>(i)], scores, i, 0.01,
                         kSlack);
    }
  }
}

TEST(HeavySoftmaxTest, HeuristicScoresAreSharesAmongTheSet) {
  Matrix<double> keys = test::NormalMatrix(400, 5, Seed{3});
  for (Index j = 0; j < 400; ++j) keys(j, 0) += 50.0;  // centring matters
  const Matrix<double> queries = test::NormalMatrix(20, 5, Seed{4});
  const HeavyOptions options{
      .epsilon = 0.04,
      .function = Softmax{.mode = SoftmaxMode::kHeuristic, .scale = 0.5}};
  const UniversalSet set = *FindUniversalSet(
      keys.view(), {.epsilon = 0.04, .function = options.function},
      {TwoWorkers()});
  ASSERT_FALSE(set.indices.empty());
  ASSERT_LT(set.indices.size(), 200u);
  const auto scores = ScoresAmong(queries, keys, set.indices);
  const auto rows = Find(keys, queries, options);
  for (Index i = 0; i < 20; ++i) {
    const HeavyRow& row = rows[static_cast<std::size_t>(i)];
    test::ExpectProven(row, scores, i, 0.04, kSlack);
    EXPECT_LE(row.keys_scored, static_cast<Index>(set.indices.size()));
  }
}

TEST(HeavySoftmaxTest, HeuristicWithoutMembersIsUndefined) {
  const Matrix<double> keys(40, 3);
  const Matrix<double> queries = test::NormalMatrix(2, 3, Seed{5});
  for (const HeavyRow& row :
       Find(keys, queries,
            {.epsilon = 0.5,
            .function = Softmax{.mode = SoftmaxMode::kHeuristic}})) {
    EXPECT_TRUE(row.undefined);
    EXPECT_TRUE(row.indices.empty());
  }
}

TEST(HeavySoftmaxTest, AmongGivenKeysPositionsSpeakOfTheirIndices) {
  const Matrix<double> keys = test::NormalMatrix(3, 2, Seed{6});
  const Matrix<double> queries = test::NormalMatrix(3, 2, Seed{7});
  const std::vector<Index> indices({10, 20, 30});
  const std::vector<AnyMatrixView> query_views({queries.view()});
  const auto rows = FindHeavyScoresAmong(keys, indices, query_views,
                                         {.epsilon = 1e-6,
                                          .function = Softmax{.scale = 1.0},
                                          .causal = true,
                                          .positions = {9, 20, 99}},
                                         {TwoWorkers()});
  ASSERT_TRUE(rows.ok());
  EXPECT_TRUE((*rows)[0].undefined);
  EXPECT_EQ((*rows)[1].indices, (std::vector<Index>{10, 20}));
  EXPECT_EQ((*rows)[2].indices, indices);
}

}  // namespace
}  // namespace steelyard
