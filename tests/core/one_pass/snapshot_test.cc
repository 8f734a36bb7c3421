#include <algorithm>

#include "gmock/gmock.h"
#include "one_pass/pass_state.h"
#include "tests/core/one_pass/streams.h"
#include "tests/support/bounds.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

using test::TestContext;

TEST(SnapshotTest, AnEmptyPassHasAnEmptySet) {
  const OnePassUniversalSet pass = test::NewPass(
      {.columns = 3, .storage = StorageType::kFloat64, .epsilon = 0.1});
  const UniversalSet set = test::Snapshot(pass);
  EXPECT_TRUE(set.indices.empty());
  EXPECT_TRUE(set.exact);
  EXPECT_EQ(set.keys, 0);
  EXPECT_EQ(set.rank, 0);
  EXPECT_EQ(set.size_bound, 0.0);
  const auto queryable = pass.Queryable(TestContext());
  ASSERT_TRUE(queryable.ok());
  EXPECT_EQ(queryable->data().keys.rows(), 0);
  EXPECT_EQ(queryable->data().factor.r.rows(), 3);
}

TEST(SnapshotTest, SaysWhatItKnows) {
  const Matrix<double> keys = test::NormalMatrix(3000, 4, Seed{91});
  const OnePassUniversalSet pass =
      test::Stream(keys.view(), {.epsilon = 0.01}, test::Blocks(3000, 1000));
  const UniversalSet set = test::Snapshot(pass);
  EXPECT_EQ(set.keys, 3000);
  EXPECT_EQ(set.rank, 4);
  EXPECT_EQ(set.size_bound, 400.0);
  EXPECT_EQ(set.total_sensitivity, 4.0);
  // Dropped keys are below epsilon, and that is all that is known.
  EXPECT_EQ(set.effective_epsilon, 0.01);
  EXPECT_GT(set.condition_estimate, 1.0);
  EXPECT_TRUE(set.exact);
  EXPECT_THAT(set.method, testing::HasSubstr("one pass over 3000 x 4"));
}

TEST(SnapshotTest, ThePassGoesOnAsIfNobodyHadAsked) {
  const Matrix<double> keys = test::NormalMatrix(3000, 4, Seed{92});
  const OnePassOptions options{
      .columns = 4, .storage = StorageType::kFloat64, .epsilon = 0.01};
  OnePassUniversalSet asked = test::NewPass(options);
  for (const KeyRange& block : test::Blocks(3000, 170)) {
    ASSERT_TRUE(
        asked.Add(SubView(keys.view(), block.first, block.count), TestContext())
            .ok());
    test::Snapshot(asked);
    ASSERT_TRUE(asked.Queryable(TestContext()).ok());
    ASSERT_TRUE(asked.Export(TestContext()).ok());
  }
  const OnePassUniversalSet quiet =
      test::Stream(keys.view(), options, test::Blocks(3000, 170));
  test::ExpectEqualStates(*asked.Export(TestContext()),
                          *quiet.Export(TestContext()));
}

// rank < d: the rank rule asks for keys below epsilon, too.
TEST(QueryableTest, BelowFullRankItHoldsMoreThanTheMembers) {
  Matrix<double> keys = test::NormalMatrix(900, 4, Seed{93});
  for (Index i = 0; i < 900; ++i) keys(i, 3) = keys(i, 0);
  const OnePassUniversalSet pass =
      test::Stream(keys.view(), {.epsilon = 0.02}, test::Blocks(900, 100));
  const auto queryable = pass.Queryable(TestContext());
  ASSERT_TRUE(queryable.ok());
  const QueryableSetData& data = queryable->data();
  EXPECT_EQ(data.factor.rank, 3);
  EXPECT_GT(data.indices.size(), data.set.indices.size());
  EXPECT_TRUE(std::includes(data.indices.begin(), data.indices.end(),
                            data.set.indices.begin(), data.set.indices.end()));
  const UniversalSet all =
      test::Batch(keys.view(), EpsilonOfMembers(data.factor, 0.02));
  EXPECT_EQ(data.indices, all.indices);
  EXPECT_EQ(data.last_index, 899);
  // Exactly what the pass was asked for, though some of it is undecided.
  EXPECT_NEAR(data.set.effective_epsilon, 0.02, test::Gamma(8) * 0.02);
}

}  // namespace
}  // namespace steelyard
