#include "one_pass/causal_set.h"

#include <algorithm>
#include <limits>

#include "steelyard/status.h"
#include "tests/core/one_pass/streams.h"
#include "tests/support/long_double_householder.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

using test::TestContext;

UniversalSet CausalBatch(const AnyMatrixView& keys,
                         std::optional<double> epsilon,
                         std::optional<Index> top_m = std::nullopt) {
  UniversalSetOptions options;
  options.epsilon = epsilon;
  options.top_m = top_m;
  options.causal = true;
  const auto set = FindUniversalSet(keys, options, TestContext());
  EXPECT_TRUE(set.ok()) << set.status();
  return set.ok() ? *set : UniversalSet{};
}

TEST(CausalSetTest, HoldsEveryKeyThatWasHeavyWhenItCame) {
  const Matrix<double> keys = test::MatrixWithSingularValues(
      600, test::GeometricValues(5, 100.0), Seed{131});
  const UniversalSet set = CausalBatch(keys.view(), 0.02);
  Index members = 0;
  for (Index j = 0; j < 600; ++j) {
    const auto truth =
        test::LongDoubleLeverages(SubView(keys.view(), 0, j + 1)).back();
    const bool member =
        std::binary_search(set.indices.begin(), set.indices.end(), j);
    EXPECT_EQ(member, truth >= 0.02L) << j;
    members += member ? 1 : 0;
  }
  EXPECT_TRUE(set.exact);
  EXPECT_LE(static_cast<double>(members), set.size_bound);
  EXPECT_GE(set.total_sensitivity, 5.0);
  EXPECT_EQ(set.rank, 5);
  EXPECT_EQ(set.keys, 600);
  EXPECT_LT(set.effective_epsilon, 0.02);
  // More than by the scores at the end.
  EXPECT_GT(set.indices.size(), test::Batch(keys.view(), 0.02).indices.size());
}

// N5, causal: the stream is the batch whatever the blocks are.
TEST(CausalSetTest, TheStreamIsTheBatch) {
  const auto keys = test::KeysWithSpectrum<float>(
      {.rows = 1500, .columns = 6, .cond = 1e3, .seed = Seed{132}});
  const UniversalSet batch = CausalBatch(keys.view(), 0.01);
  for (const Index block : {1, 100, 1500}) {
    const OnePassUniversalSet pass =
        test::Stream(keys.view(), {.epsilon = 0.01, .causal = true},
                     test::Blocks(1500, block));
    const UniversalSet set = test::Snapshot(pass);
    test::ExpectSameSet(set, batch);
    EXPECT_NEAR(set.total_sensitivity, batch.total_sensitivity,
                1e-3 * batch.total_sensitivity);
    EXPECT_NEAR(set.size_bound, batch.size_bound, 1e-3 * batch.size_bound);
    const auto queryable = pass.Queryable(TestContext());
    ASSERT_TRUE(queryable.ok());
    EXPECT_TRUE(queryable->data().causal);
    EXPECT_TRUE(std::includes(queryable->data().indices.begin(),
                              queryable->data().indices.end(),
                              set.indices.begin(), set.indices.end()));
  }
}

TEST(CausalSetTest, ARestoredPassGoesOn) {
  const Matrix<double> keys = test::NormalMatrix(900, 4, Seed{133});
  const OnePassOptions options{.columns = 4,
                               .storage = StorageType::kFloat64,
                               .epsilon = 0.02,
                               .causal = true};
  for (const Index cut : {2, 300}) {
    OnePassUniversalSet pass = test::NewPass(options);
    ASSERT_TRUE(pass.Add(SubView(keys.view(), 0, cut), TestContext()).ok());
    const OnePassState state = *pass.Export(TestContext());
    EXPECT_EQ(state.arrival_scores.size(), state.indices.size());
    auto restored = OnePassUniversalSet::Restore(options, state, TestContext());
    ASSERT_TRUE(restored.ok()) << restored.status();
    test::ExpectEqualStates(*restored->Export(TestContext()), state);
    ASSERT_TRUE(
        restored->Add(SubView(keys.view(), cut, 900 - cut), TestContext())
            .ok());
    test::ExpectSameSet(test::Snapshot(*restored),
                        CausalBatch(keys.view(), 0.02));
    EXPECT_EQ(DetailOf(restored->Merge(pass, TestContext()))->reason,
              "CAUSAL_NOT_MERGEABLE");
  }
}

TEST(CausalSetTest, CorruptArrivalsAreNamed) {
  const Matrix<double> keys = test::NormalMatrix(300, 3, Seed{134});
  const OnePassUniversalSet pass =
      test::Stream(keys.view(), {.epsilon = 0.02, .causal = true}, {{0, 300}});
  const OnePassState good = *pass.Export(TestContext());
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto field = [&](auto spoil) {
    OnePassState state = good;
    spoil(state);
    const auto restored = OnePassUniversalSet::Restore(
        pass.options(), std::move(state), TestContext());
    return restored.ok() ? "" : DetailOf(restored.status())->field;
  };
  EXPECT_EQ(field([](OnePassState&) {}), "");
  EXPECT_EQ(field([](auto& s) { s.arrival_scores.pop_back(); }),
            "arrival_scores");
  EXPECT_EQ(field([](auto& s) { s.arrival_scores[0] = 1.5; }),
            "arrival_scores");
  EXPECT_EQ(field([](auto& s) { s.arrival_scores[0] = -0.1; }),
            "arrival_scores");
  EXPECT_EQ(field([=](auto& s) { s.arrival_scores[0] = nan; }),
            "arrival_scores");
  EXPECT_EQ(field([](auto& s) { s.arrival_errors.push_back(0.0); }),
            "arrival_errors");
  EXPECT_EQ(field([=](auto& s) { s.arrival_errors[0] = nan; }),
            "arrival_errors");
  EXPECT_EQ(field([=](auto& s) { s.arrival_total = nan; }), "arrival_total");
  EXPECT_EQ(field([](auto& s) { s.arrival_total = 0.5; }), "arrival_total");
  EXPECT_EQ(field([](auto& s) { s.arrival_bound = 0.5; }), "arrival_bound");
  EXPECT_EQ(field([](auto& s) { s.arrival_bound = HUGE_VAL; }),
            "arrival_bound");
}

TEST(CausalSetTest, TopAloneNeedsNoThreshold) {
  const Matrix<double> keys = test::NormalMatrix(200, 4, Seed{135});
  const UniversalSet set = CausalBatch(keys.view(), std::nullopt, 3);
  // The first keys of all are new: 1, and ties go to the lower index.
  EXPECT_EQ(set.indices, (std::vector<Index>{0, 1, 2}));
  EXPECT_EQ(set.size_bound, 200.0);
}

TEST(CausalSetTest, NamesABadNumberByItsRow) {
  Matrix<double> keys = test::NormalMatrix(500, 4, Seed{136});
  keys(317, 2) = std::numeric_limits<double>::infinity();
  const auto scored = ScoreCausalKeys(keys.view(), 1000, TestContext());
  EXPECT_EQ(DetailOf(scored.status())->reason, "NOT_FINITE");
  EXPECT_EQ(DetailOf(scored.status())->metadata.at("index"),
            std::to_string((1000 + 317) * 4 + 2));
}

}  // namespace
}  // namespace steelyard
