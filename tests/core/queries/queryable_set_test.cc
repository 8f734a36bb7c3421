#include "steelyard/queryable_set.h"

#include <algorithm>
#include <cmath>

#include "gmock/gmock.h"
#include "queries/queryable_set_data.h"
#include "steelyard/heavy_scores.h"
#include "steelyard/status.h"
#include "tests/core/queries/score_oracle.h"
#include "tests/support/attention_oracle.h"
#include "tests/support/bounds.h"
#include "tests/support/long_double_householder.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

const Workers& TwoWorkers() {
  static const Workers workers(2);
  return workers;
}

std::vector<QueryableSet> Sets(const std::vector<AnyMatrixView>& heads,
                               const UniversalSetOptions& options) {
  auto sets = FindQueryableSets(heads, options, ComputeContext{TwoWorkers()});
  EXPECT_TRUE(sets.ok()) << sets.status();
  return *std::move(sets);
}

absl::StatusOr<std::vector<HeavyRow>> Ask(
    const std::vector<QueryableSet>& sets,
    const std::vector<AnyMatrixView>& queries, const HeavyOptions& options) {
  return FindHeavyScores(sets, queries, options, ComputeContext{TwoWorkers()});
}

template <typename T>
class QueryableSetTest : public testing::Test {};
using StorageTypes = testing::Types<Half, BFloat16, float, double>;
TYPED_TEST_SUITE(QueryableSetTest, StorageTypes);

TYPED_TEST(QueryableSetTest, AnswersWithoutItsKeysAsBruteForceDoes) {
  std::vector<QueryableSet> sets;
  Matrix<long double> wide, attaining;
  {
    const auto keys = test::KeysWithSpectrum<TypeParam>(
        {.rows = 250, .columns = 8, .cond = 1e3, .seed = Seed{1}});
    sets = Sets({keys.view()}, {.epsilon = 0.04});
    wide = test::Widened(keys.view());
    attaining = test::AttainingQueries(keys.view());
  }
  Matrix<double> queries = test::NormalMatrix(250, 8, Seed{2});
  for (Index i = 0; i < 125; ++i) {
    for (Index c = 0; c < 8; ++c) {
      queries(i, c) = static_cast<double>(attaining(i, c));
    }
  }
  const auto scores =
      test::BruteForceScores(test::Widened(queries.view()), wide);
  for (const double epsilon : {sets[0].set().effective_epsilon, 0.04, 0.2}) {
    const auto rows = Ask(sets, {queries.view()}, {.epsilon = epsilon});
    ASSERT_TRUE(rows.ok()) << rows.status();
    for (Index i = 0; i < 250; ++i) {
      test::ExpectSameAsBruteForce((*rows)[static_cast<std::size_t>(i)], scores,
                                   i, epsilon, test::GramBound(256, 8, 1e3));
    }
  }
}

TEST(QueryableSetShapeTest, HoldsTheSetsOfHeadsOfDifferentLength) {
  const Matrix<double> first = test::NormalMatrix(300, 6, Seed{3});
  const Matrix<double> second = test::NormalMatrix(40, 6, Seed{4});
  const std::vector<AnyMatrixView> heads({first.view(), second.view()});
  for (const UniversalSetOptions& options :
       {UniversalSetOptions{.epsilon = 0.05}, UniversalSetOptions{.top_m = 9},
        UniversalSetOptions{.epsilon = 0.05, .top_m = 3}}) {
    const auto sets = Sets(heads, options);
    const auto plain =
        FindUniversalSets(heads, options, ComputeContext{TwoWorkers()});
    ASSERT_TRUE(plain.ok());
    ASSERT_EQ(sets.size(), 2u);
    for (std::size_t h = 0; h < 2; ++h) {
      EXPECT_EQ(sets[h].set().indices, (*plain)[h].indices);
      EXPECT_EQ(sets[h].set().sensitivities, (*plain)[h].sensitivities);
      EXPECT_EQ(sets[h].set().effective_epsilon, (*plain)[h].effective_epsilon);
      EXPECT_EQ(sets[h].columns(), 6);
      EXPECT_TRUE(IsSquare(sets[h].function()));
      EXPECT_FALSE(sets[h].causal());
      EXPECT_EQ(sets[h].data().last_index, Rows(heads[h]) - 1);
    }
    // Query heads 0, 1 read key head 0; 2, 3 read key head 1.
    const Matrix<double> queries = test::NormalMatrix(70, 6, Seed{5});
    const auto rows = Ask(
        sets, {queries.view(), queries.view(), queries.view(), queries.view()},
        {.epsilon = 0.5});
    ASSERT_TRUE(rows.ok());
    for (Index g = 0; g < 4; ++g) {
      const auto scores = test::BruteForceScores(
          test::Widened(queries.view()),
          test::Widened(heads[static_cast<std::size_t>(g / 2)]));
      for (Index i = 0; i < 70; ++i) {
        test::ExpectSameAsBruteForce(
            (*rows)[static_cast<std::size_t>(g * 70 + i)], scores, i, 0.5,
            test::GramBound(300, 6, 10.0));
      }
    }
  }
}

// As in heavy_scores_test.cc: queries near the null space of keys of rank 1
// give twelve keys more than their sensitivity.
TEST(QueryableSetRankTest, QueriesNearTheNullSpaceMissNothing) {
  Matrix<double> keys(100, 2);
  for (Index i = 0; i < 100; ++i) {
    keys(i, 0) = 1.0;
    keys(i, 1) = i < 12 ? 1.0 + 36.0 * 0x1p-52 : 1.0;
  }
  Matrix<double> queries(1, 2);
  queries(0, 0) = 1.0;
  queries(0, 1) = -1.0;
  for (const UniversalSetOptions& options :
       {UniversalSetOptions{.epsilon = 0.05}, UniversalSetOptions{.top_m = 2},
        UniversalSetOptions{.epsilon = 0.005, .top_m = 100}}) {
    const auto sets = Sets({keys.view()}, options);
    const double least = sets[0].set().effective_epsilon;
    if (options.epsilon.has_value()) {
      EXPECT_LE(least, *options.epsilon);
    }
    const auto rows =
        Ask(sets, {queries.view()}, {.epsilon = std::max(least, 0.01)});
    ASSERT_TRUE(rows.ok()) << rows.status();
    // Each of the twelve scores 1 / 12.
    for (Index j = 0; j < 12 && least <= 1.0 / 12.0; ++j) {
      EXPECT_THAT((*rows)[0].indices, testing::Contains(j));
    }
  }
}

TEST(QueryableSetErrorTest, RefusesEpsilonBelowWhatItAnswersFor) {
  const Matrix<double> keys = test::NormalMatrix(200, 4, Seed{6});
  const auto sets = Sets({keys.view()}, {.epsilon = 0.1});
  const double least = sets[0].set().effective_epsilon;
  ASSERT_GT(least, 0.0);
  const Matrix<double> queries = test::NormalMatrix(3, 4, Seed{7});
  EXPECT_TRUE(Ask(sets, {queries.view()}, {.epsilon = least}).ok());
  const auto refused =
      Ask(sets, {queries.view()}, {.epsilon = std::nextafter(least, 0.0)});
  ASSERT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(DetailOf(refused.status())->reason, "EPSILON_BELOW_SET");
  EXPECT_EQ(DetailOf(refused.status())->field, "epsilon");
}

TEST(QueryableSetErrorTest, KnowsNoPrefixButTheWhole) {
  const Matrix<double> keys = test::NormalMatrix(200, 4, Seed{8});
  const auto sets = Sets({keys.view()}, {.epsilon = 0.1});
  const Matrix<double> queries = test::NormalMatrix(2, 4, Seed{9});
  const auto all = Ask(sets, {queries.view()}, {.epsilon = 0.1});
  const auto last =
      Ask(sets, {queries.view()},
          {.epsilon = 0.1, .causal = true, .positions = {199, 250}});
  ASSERT_TRUE(last.ok()) << last.status();
  EXPECT_EQ((*last)[1].scores, (*all)[1].scores);
  const auto refused =
      Ask(sets, {queries.view()},
          {.epsilon = 0.1, .causal = true, .positions = {199, 198}});
  ASSERT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(DetailOf(refused.status())->reason, "PREFIX_UNKNOWN");
  EXPECT_EQ(DetailOf(refused.status())->field, "positions[1]");
}

TEST(QueryableSetErrorTest, NamesBadKeysAndStops) {
  Matrix<double> keys = test::NormalMatrix(50, 4, Seed{10});
  const auto find = [&](const StopToken& stop) {
    return FindQueryableSets(std::vector<AnyMatrixView>{keys.view()},
                             {.epsilon = 0.1}, {TwoWorkers(), stop});
  };
  StopSource counting;
  ASSERT_TRUE(find(counting.token()).ok());
  for (std::int64_t look = 1; look < counting.token().looks(); look += 3) {
    StopSource source;
    source.StopAtLook(look);
    EXPECT_EQ(find(source.token()).status().code(),
              absl::StatusCode::kCancelled);
  }
  keys(7, 2) = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(DetailOf(find({}).status())->metadata.at("index"), "30");
}

TEST(QueryableSetBytesTest, CountsWhatIsHeldAndBoundsIt) {
  for (const Index n : {Index{50}, Index{4000}}) {
    for (const double epsilon : {0.3, 0.004}) {
      const Matrix<double> keys = test::NormalMatrix(n, 10, Seed{11});
      const std::vector<AnyMatrixView> heads({keys.view()});
      const UniversalSetOptions options{.epsilon = epsilon};
      auto sets =
          FindQueryableSets(heads, options, ComputeContext{TwoWorkers()});
      ASSERT_TRUE(sets.ok());
      EXPECT_LE((*sets)[0].bytes(), BytesOfQueryableSet(n, 10, options));
      const auto members = static_cast<double>((*sets)[0].set().indices.size());
      EXPECT_GE((*sets)[0].bytes(), 8.0 * (members * 12.0 + 100.0));
    }
  }
}

TEST(QueryableSetBitsTest, DoNotDependOnTheNumberOfWorkers) {
  const Matrix<double> keys = test::NormalMatrix(3000, 12, Seed{12});
  const Matrix<double> queries = test::NormalMatrix(150, 12, Seed{13});
  std::vector<std::vector<HeavyRow>> answers;
  for (const int count : {1, 3}) {
    const Workers workers(count);
    const auto sets =
        FindQueryableSets(std::vector<AnyMatrixView>{keys.view()},
                          {.epsilon = 0.008}, ComputeContext{workers});
    ASSERT_TRUE(sets.ok());
    auto rows =
        FindHeavyScores(*sets, std::vector<AnyMatrixView>{queries.view()},
                        {.epsilon = 0.008}, ComputeContext{workers});
    ASSERT_TRUE(rows.ok());
    answers.push_back(*std::move(rows));
  }
  for (std::size_t i = 0; i < answers[0].size(); ++i) {
    EXPECT_EQ(answers[0][i].indices, answers[1][i].indices);
    EXPECT_EQ(answers[0][i].scores, answers[1][i].scores);
    EXPECT_EQ(answers[0][i].normalizer, answers[1][i].normalizer);
  }
}

}  // namespace
}  // namespace steelyard
