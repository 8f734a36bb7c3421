#include "queries/all_keys.h"

#include <cmath>

#include "gmock/gmock.h"
#include "steelyard/status.h"
#include "tests/core/queries/score_oracle.h"
#include "tests/support/allocation_peak.h"
#include "tests/support/bounds.h"
#include "tests/support/long_double_householder.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

std::vector<ScoreFunction> Functions() {
  std::vector<ScoreFunction> functions;
  for (const double p : {1.0, 1.5, 2.0, 2.7, 3.0, 4.0, 6.0, 64.0}) {
    functions.push_back(Power{p});
  }
  functions.push_back(PowerSum{{{1.0, 2.0}, {0.1, 4.0}, {5.0, 1.0}}});
  return functions;
}

std::vector<HeavyRow> Find(const std::vector<AnyMatrixView>& keys,
                           const std::vector<AnyMatrixView>& queries,
                           const HeavyOptions& options, int workers = 2) {
  const Workers pool(workers);
  auto rows = FindHeavyByAllKeys(keys, queries, options, ComputeContext{pool});
  EXPECT_TRUE(rows.ok()) << rows.status();
  return rows.ok() ? *std::move(rows) : std::vector<HeavyRow>{};
}

// Of |x|^p at most p times that of x: products of length d, sums of n.
double Slack(Index n, Index d) { return test::Gamma(64 * (n + 8 * d + 256)); }

template <typename T>
class AllKeysTest : public testing::Test {};
using StorageTypes = testing::Types<Half, BFloat16, float, double>;
TYPED_TEST_SUITE(AllKeysTest, StorageTypes);

TYPED_TEST(AllKeysTest, EqualsBruteForceForEveryFunctionAndPrefix) {
  const Index n = 400, d = 5, m = 66;
  const auto keys = test::Stored<TypeParam>(test::NormalMatrix(n, d, Seed{1}));
  const auto queries =
      test::Stored<TypeParam>(test::NormalMatrix(m, d, Seed{2}));
  std::vector<Index> positions;
  for (Index i = 0; i < m; ++i) positions.push_back(i * i * 13 % 450);
  for (const ScoreFunction& function : Functions()) {
    for (const bool causal : {false, true}) {
      const auto rows =
          Find({keys.view()}, {queries.view()},
               {.epsilon = 0.02,
                .function = function,
                .causal = causal,
                .positions = causal ? positions : std::vector<Index>{}});
      const auto scores = test::BruteForceScores(
          function, test::Widened(queries.view()), test::Widened(keys.view()),
          causal ? positions : std::vector<Index>{});
      for (Index i = 0; i < m; ++i) {
        const HeavyRow& row = rows[static_cast<std::size_t>(i)];
        EXPECT_FALSE(row.undefined);
        EXPECT_THAT(row.scores_upper, testing::IsEmpty());
        test::ExpectSameAsBruteForce(row, scores, i, 0.02, Slack(n, d));
      }
    }
  }
}

TEST(AllKeysShapeTest, HeadsMayBeLongAndOfDifferentLength) {
  const Matrix<double> first = test::NormalMatrix(9000, 3, Seed{3});
  const Matrix<double> second = test::NormalMatrix(10, 3, Seed{4});
  const std::vector<AnyMatrixView> keys({first.view(), second.view()});
  const Matrix<double> queries = test::NormalMatrix(600, 3, Seed{5});
  // 2 x 10 blocks of queries: two rounds of 16.
  const std::vector<AnyMatrixView> query_heads(
      {queries.view(), queries.view()});
  const HeavyOptions options{.epsilon = 0.003, .function = Power{3.0}};
  const auto rows = Find(keys, query_heads, options, 1);
  ASSERT_EQ(rows.size(), 1200u);
  for (Index g = 0; g < 2; ++g) {
    Matrix<double> some(3, 3);
    for (Index i = 0; i < 3; ++i) {
      for (Index c = 0; c < 3; ++c) some(i, c) = queries(299 * i, c);
    }
    const auto scores = test::BruteForceScores(
        options.function, test::Widened(some.view()),
        test::Widened(keys[static_cast<std::size_t>(g)]));
    for (Index i = 0; i < 3; ++i) {
      test::ExpectSameAsBruteForce(
          rows[static_cast<std::size_t>(g * 600 + 299 * i)], scores, i, 0.003,
          Slack(9000, 3));
    }
  }
  const auto again = Find(keys, query_heads, options, 3);
  for (std::size_t r = 0; r < rows.size(); ++r) {
    EXPECT_EQ(rows[r].indices, again[r].indices);
    EXPECT_EQ(rows[r].scores, again[r].scores);
    EXPECT_EQ(rows[r].normalizer, again[r].normalizer);
  }
}

TEST(AllKeysEdgeTest, NormalizersFarOutsideFloat64) {
  Matrix<double> keys(2, 1);
  keys(0, 0) = 3e300;
  keys(1, 0) = 4e300;
  Matrix<double> queries(2, 1);
  queries(0, 0) = 1e200;
  queries(1, 0) = 1e-200;
  for (const double p : {1.5, 64.0}) {
    const auto rows = Find({keys.view()}, {queries.view()},
                           {.epsilon = 0.5, .function = Power{p}});
    for (std::size_t i = 0; i < 2; ++i) {
      EXPECT_THAT(rows[i].indices, testing::ElementsAre(1));
      const double share = 1.0 / (1.0 + std::pow(0.75, p));
      EXPECT_NEAR(rows[i].scores[0], share, Slack(2, 1));
      const double log_z = std::log(rows[i].normalizer) +
                           rows[i].normalizer_exponent * std::log(2.0);
      const double product =
          std::log(4.0) + (i == 0 ? 500.0 : 100.0) * std::log(10.0);
      EXPECT_NEAR(log_z, p * product - std::log(share),
                  log_z * test::Gamma(64));
      EXPECT_NE(rows[i].normalizer_exponent == 0, p == 64.0 || i == 0);
    }
  }
}

// The rounding of keys that a query does not see is none of its concern.
TEST(AllKeysEdgeTest, LaterKeysMayBeLongerByAnyFactor) {
  const Index n = 60, d = 3;
  Matrix<double> keys = test::NormalMatrix(n, d, Seed{9});
  for (Index c = 0; c < d; ++c) {
    for (Index i = 0; i < n / 2; ++i) keys(i, c) *= 1e-25;
  }
  const Matrix<double> queries = test::NormalMatrix(4, d, Seed{10});
  const std::vector<Index> positions = {5, n / 2 - 1, n / 2, n - 1};
  for (const ScoreFunction& function : std::vector<ScoreFunction>{
           Power{1.0}, Power{64.0}, PowerSum{{{30.0, 1.0}, {0.2, 64.0}}}}) {
    const auto rows = Find({keys.view()}, {queries.view()},
                           {.epsilon = 0.02,
                            .function = function,
                            .causal = true,
                            .positions = positions});
    const auto scores = test::BruteForceScores(
        function, test::Widened(queries.view()), test::Widened(keys.view()),
        positions);
    for (Index i = 0; i < 4; ++i) {
      const HeavyRow& row = rows[static_cast<std::size_t>(i)];
      EXPECT_FALSE(row.undefined);
      EXPECT_FALSE(row.indices.empty());
      test::ExpectSameAsBruteForce(row, scores, i, 0.02, Slack(n, d));
    }
  }
}

TEST(AllKeysEdgeTest, APrefixOfZerosIsUndefined) {
  Matrix<double> keys = test::NormalMatrix(20, 3, Seed{6});
  for (Index j = 0; j < 5; ++j) {
    for (Index c = 0; c < 3; ++c) keys(j, c) = 0.0;
  }
  const Matrix<double> queries = test::NormalMatrix(3, 3, Seed{7});
  const auto rows = Find({keys.view()}, {queries.view()},
                         {.epsilon = 0.5,
                          .function = Power{3.0},
                          .causal = true,
                          .positions = {4, 5, 0}});
  EXPECT_TRUE(rows[0].undefined);
  EXPECT_TRUE(rows[2].undefined);
  EXPECT_FALSE(rows[1].undefined);
  EXPECT_THAT(rows[1].indices, testing::ElementsAre(5));
  EXPECT_EQ(rows[1].captured_mass, 1.0);
}

TEST(AllKeysErrorTest, NamesBadKeysAndStops) {
  Matrix<double> keys = test::NormalMatrix(9000, 3, Seed{8});
  const Matrix<double> queries = test::NormalMatrix(70, 3, Seed{9});
  const Workers workers(2);
  const auto find = [&](const StopToken& stop) {
    return FindHeavyByAllKeys(std::vector<AnyMatrixView>{keys.view()},
                              std::vector<AnyMatrixView>{queries.view()},
                              {.epsilon = 0.1, .function = Power{1.0}},
                              {workers, stop});
  };
  StopSource counting;
  ASSERT_TRUE(find(counting.token()).ok());
  for (std::int64_t look = 1; look < counting.token().looks(); look += 20) {
    StopSource source;
    source.StopAtLook(look);
    EXPECT_EQ(find(source.token()).status().code(),
              absl::StatusCode::kCancelled);
  }
  keys(7, 2) = std::numeric_limits<double>::infinity();
  EXPECT_EQ(DetailOf(find({}).status())->metadata.at("index"), "23");
}

TEST(AllKeysCostTest, BoundsWhatIsAllocated) {
  for (const Index m : {Index{1}, Index{700}}) {
    const Matrix<double> keys = test::NormalMatrix(9000, 6, Seed{10});
    const Matrix<double> queries = test::NormalMatrix(m, 6, Seed{11});
    const std::vector<AnyMatrixView> key_heads({keys.view()});
    const std::vector<AnyMatrixView> query_heads({queries.view()});
    const Workers workers(2);
    const test::AllocationPeak peak;
    const auto rows = FindHeavyByAllKeys(
        key_heads, query_heads, {.epsilon = 0.05, .function = Power{3.0}},
        ComputeContext{workers});
    ASSERT_TRUE(rows.ok());
    const Cost cost = CostOfAllKeys(1, 9000, 6, 1, m, 2);
    const double answer =
        static_cast<double>(m) * (sizeof(HeavyRow) + 2.0 * 2.0 * 20.0 * 16.0);
    EXPECT_LE(static_cast<double>(peak.bytes()), cost.bytes + answer);
    EXPECT_GE(cost.flops, 2.0 * 9000.0 * 6.0 * static_cast<double>(m));
  }
}

TEST(KeySlotsTest, CoverTheKeysInWholeBlocks) {
  for (const Index n : {Index{1}, Index{256}, Index{8191}, Index{8192},
                        Index{70001}, Index{10000000}}) {
    const KeySlots slots(n);
    EXPECT_GE(slots.count * slots.size, n);
    EXPECT_EQ(slots.size % kKeyBlock, 0);
    EXPECT_LE(slots.count, 16);
  }
}

}  // namespace
}  // namespace steelyard
