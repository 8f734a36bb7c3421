#include "server/handlers/used_set.h"

#include <memory>
#include <utility>

#include "gtest/gtest.h"
#include "tests/server/handlers/kept_set.h"

namespace steelyard::server {
namespace {

TEST(UsedSetTest, NoNameUsesNoSet) {
  SetRegistry registry(1 << 20);
  const auto used = UseSet(registry, std::nullopt);
  ASSERT_TRUE(used.ok()) << used.status();
  EXPECT_FALSE(used->has_value());
  EXPECT_EQ(FactsOf(*used), nullptr);
  EXPECT_EQ(CostOfReading(*used).bytes, 0.0);
}

TEST(UsedSetTest, ASetTellsWhatQueriesMustFit) {
  SetRegistry registry(1 << 20);
  test::KeepSet(registry, "a", {.n = 30, .d = 3, .heads = 2});
  const auto used = UseSet(registry, "a");
  ASSERT_TRUE(used.ok()) << used.status();
  const SetFacts* const facts = FactsOf(*used);
  ASSERT_NE(facts, nullptr);
  EXPECT_EQ(facts->heads, 2);
  EXPECT_EQ(facts->columns, 3);
  EXPECT_GT(facts->members, 0.0);
  EXPECT_EQ(UseSet(registry, "b").status().code(), absl::StatusCode::kNotFound);
}

TEST(UsedSetTest, ASetInUseOutlivesItsName) {
  SetRegistry registry(1 << 20);
  test::KeepSet(registry, "a", {});
  auto used = UseSet(registry, "a");
  ASSERT_TRUE(used.ok()) << used.status();
  ASSERT_TRUE(registry.Delete("a").ok());
  const Workers workers(1);
  EXPECT_TRUE((*used)->set->Queryable({.workers = workers}).ok());
  EXPECT_GT(registry.memory().reserved(), 0);
  used->reset();
  EXPECT_EQ(registry.memory().reserved(), 0);
}

}  // namespace
}  // namespace steelyard::server
