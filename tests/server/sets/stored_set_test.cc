#include "server/sets/stored_set.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/workers.h"

namespace steelyard::server {
namespace {

TEST(StoredSetTest, AFoundSetIsFinishedAndGivesItsHeads) {
  const Workers workers(1);
  const QueryableSet head(nullptr);
  FoundSet set({.heads = 2,
                .columns = 4,
                .epsilon = 0.1,
                .top_m = {},
                .function = Power{4.0},
                .causal = true},
               {head, head}, {100, 50});
  EXPECT_EQ(set.state(), SetState::kFinished);
  EXPECT_THAT(set.keys(), testing::ElementsAre(100, 50));
  EXPECT_EQ(set.description().columns, 4);
  EXPECT_TRUE(set.description().causal);
  const auto heads = set.Queryable({.workers = workers});
  ASSERT_TRUE(heads.ok());
  EXPECT_EQ(heads->size(), 2u);
}

}  // namespace
}  // namespace steelyard::server
