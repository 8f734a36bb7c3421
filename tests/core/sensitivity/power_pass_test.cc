#include "sensitivity/power_pass.h"

#include <algorithm>
#include <cmath>

#include "gmock/gmock.h"
#include "steelyard/heavy_scores.h"
#include "steelyard/one_pass.h"
#include "steelyard/status.h"
#include "tests/core/sensitivity/power_keys.h"
#include "tests/support/long_double_householder.h"
#include "tests/support/power_oracle.h"

namespace steelyard {
namespace {

using test::PowerKeys;
using test::Tail;

ComputeContext Context() {
  static const Workers workers(2);
  return ComputeContext{workers};
}

MatrixView<double> RowsOf(const Matrix<double>& keys, Index first,
                          Index count) {
  return {keys.row(first), count, keys.cols()};
}

OnePassOptions Options(const ScoreFunction& function, double epsilon) {
  OnePassOptions options;
  options.columns = 3;
  options.storage = StorageType::kFloat64;
  options.epsilon = epsilon;
  options.function = function;
  return options;
}

OnePassUniversalSet Fed(const OnePassOptions& options,
                        const Matrix<double>& keys, Index first, Index last) {
  auto pass = OnePassUniversalSet::Create(options);
  EXPECT_TRUE(pass.ok()) << pass.status();
  for (Index row = first; row < last; row += 130) {
    const Index count = std::min<Index>(130, last - row);
    EXPECT_TRUE(pass->Add(RowsOf(keys, row, count), Context()).ok());
  }
  return *std::move(pass);
}

UniversalSet SetOf(const OnePassUniversalSet& pass) {
  const auto set = pass.Snapshot(Context());
  EXPECT_TRUE(set.ok()) << set.status();
  return set.ok() ? *set : UniversalSet{};
}

bool Includes(const std::vector<Index>& all, const std::vector<Index>& some) {
  return std::includes(all.begin(), all.end(), some.begin(), some.end());
}

std::vector<ScoreFunction> Functions() {
  return {Power{1.0}, Power{1.5}, Power{3.0}, Power{6.0},
          PowerSum{.terms = {{1.0, 1.0}, {2.0, 2.0}, {1.0, 4.0}}}};
}

// The exact set is inside, whatever the function; few keys more are.
TEST(PowerPassTest, HoldsTheSetOfAllKeys) {
  const Matrix<double> keys = PowerKeys(3000, 3, 10.0, Tail::kHeavy, 5);
  for (const ScoreFunction& function : Functions()) {
    const double epsilon = 0.02;
    const auto batch = FindUniversalSet(
        keys.view(), {.epsilon = epsilon, .function = function}, Context());
    ASSERT_TRUE(batch.ok());
    const UniversalSet set =
        SetOf(Fed(Options(function, epsilon), keys, 0, 3000));
    EXPECT_TRUE(Includes(set.indices, batch->indices))
        << DescriptionOf(function);
    EXPECT_GE(set.indices.size(), batch->indices.size());
    EXPECT_LT(set.indices.size(), 1000u) << DescriptionOf(function);
    EXPECT_EQ(set.keys, 3000);
    EXPECT_FALSE(set.exact);
    EXPECT_EQ(set.upper_bounds.size(), set.indices.size());
    EXPECT_GE(set.effective_epsilon, epsilon);
    EXPECT_LE(static_cast<double>(set.indices.size()), set.size_bound);
  }
}

TEST(PowerPassTest, ShardsMergeAndStatesComeBack) {
  const Matrix<double> keys = PowerKeys(2000, 3, 10.0, Tail::kHeavy, 6);
  for (const ScoreFunction& function : Functions()) {
    OnePassOptions options = Options(function, 0.05);
    const auto batch = FindUniversalSet(
        keys.view(), {.epsilon = 0.05, .function = function}, Context());
    ASSERT_TRUE(batch.ok());
    OnePassUniversalSet left = Fed(options, keys, 0, 900);
    options.first_index = 900;
    const OnePassUniversalSet right = Fed(options, keys, 900, 2000);
    auto state = right.Export(Context());
    ASSERT_TRUE(state.ok());
    EXPECT_FALSE(state->coreset.empty());
    auto back = OnePassUniversalSet::Restore(options, *state, Context());
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(SetOf(*back).indices, SetOf(right).indices);
    ASSERT_TRUE(left.Merge(*back, Context()).ok());
    const UniversalSet set = SetOf(left);
    EXPECT_TRUE(Includes(set.indices, batch->indices));
    EXPECT_EQ(set.keys, 2000);

    state->coreset.pop_back();
    EXPECT_EQ(
        DetailOf(
            OnePassUniversalSet::Restore(options, *state, Context()).status())
            ->reason,
        "STATE_CORRUPT");
  }
}

// Every prefix's set is inside the causal one, in one pass and in batch.
TEST(PowerPassTest, CausalSetsHoldThoseOfEveryPrefix) {
  const Matrix<double> keys = PowerKeys(700, 3, 10.0, Tail::kHeavy, 7);
  for (const ScoreFunction& function : Functions()) {
    OnePassOptions options = Options(function, 0.1);
    options.causal = true;
    const OnePassUniversalSet pass = Fed(options, keys, 0, 700);
    const std::vector<Index> streamed = SetOf(pass).indices;
    const auto batch = FindUniversalSet(
        keys.view(), {.epsilon = 0.1, .function = function, .causal = true},
        Context());
    ASSERT_TRUE(batch.ok());
    EXPECT_LT(batch->indices.size(), 700u);
    for (const Index n : {40, 200, 500, 700}) {
      const auto prefix =
          FindUniversalSet(RowsOf(keys, 0, n),
                           {.epsilon = 0.1, .function = function}, Context());
      ASSERT_TRUE(prefix.ok());
      EXPECT_TRUE(Includes(streamed, prefix->indices)) << n;
      EXPECT_TRUE(Includes(batch->indices, prefix->indices)) << n;
    }
    auto state = pass.Export(Context());
    ASSERT_TRUE(state.ok());
    const auto back = OnePassUniversalSet::Restore(options, *state, Context());
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(SetOf(*back).indices, streamed);
  }
}

// Queries from the set of one pass: every score >= epsilon has an interval.
TEST(PowerPassTest, QueriesMissNothing) {
  const Matrix<double> keys = PowerKeys(1500, 3, 10.0, Tail::kHeavy, 8);
  const Matrix<double> queries = test::NormalMatrix(40, 3, Seed{9});
  const auto wide = test::Widened(keys.view());
  for (const ScoreFunction& function : Functions()) {
    const auto set =
        Fed(Options(function, 0.05), keys, 0, 1500).Queryable(Context());
    ASSERT_TRUE(set.ok()) << set.status();
    const std::vector<QueryableSet> sets = {*set};
    const std::vector<AnyMatrixView> query_heads = {queries.view()};
    HeavyOptions options;
    options.epsilon = 0.05;
    options.function = function;
    const auto rows = FindHeavyScores(sets, query_heads, options, Context());
    ASSERT_TRUE(rows.ok()) << rows.status();
    for (Index i = 0; i < 40; ++i) {
      const auto scores = test::PowerScores(
          {queries(i, 0), queries(i, 1), queries(i, 2)}, wide, function);
      const std::vector<Index>& found =
          (*rows)[static_cast<std::size_t>(i)].indices;
      for (Index j = 0; j < 1500; ++j) {
        if (scores[static_cast<std::size_t>(j)] < 0.05L) continue;
        EXPECT_TRUE(std::find(found.begin(), found.end(), j) != found.end());
      }
    }
  }
}

TEST(PowerPassTest, TheSquareNeedsNone) {
  const PowerPass none(Power{2.0}, 4);
  EXPECT_FALSE(none.used());
  EXPECT_EQ(none.bytes(), 0.0);
  const PowerPass sum(PowerSum{.terms = {{1.0, 2.0}, {1.0, 4.0}}}, 4);
  EXPECT_TRUE(sum.used());
  EXPECT_EQ(sum.TotalSensitivity(4), 4.0 + 16.0);
}

}  // namespace
}  // namespace steelyard
