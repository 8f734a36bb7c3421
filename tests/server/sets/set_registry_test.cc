#include "server/sets/set_registry.h"

#include <atomic>
#include <cmath>
#include <thread>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/errors/errors.h"
#include "steelyard/status.h"

namespace steelyard::server {
namespace {

constexpr std::int64_t kMemory = std::int64_t{1} << 30;

// A set that tells what happens to it.
class ToldSet final : public StoredSet {
 public:
  explicit ToldSet(std::atomic<int>* gone, std::atomic<int>* deleted = nullptr)
      : StoredSet({.heads = 2,
                   .columns = 3,
                   .epsilon = 0.5,
                   .top_m = {},
                   .function = Power{2.0},
                   .causal = false}),
        gone_(gone),
        deleted_(deleted) {}
  ~ToldSet() override { ++*gone_; }
  SetState state() const override { return SetState::kSuspended; }
  std::vector<Index> keys() const override { return {7, 8}; }
  void Deleted() override {
    if (deleted_ != nullptr) ++*deleted_;
  }
  absl::StatusOr<std::vector<UniversalSet>> Sets(
      const ComputeContext&) override {
    return std::vector<UniversalSet>();
  }
  absl::StatusOr<std::vector<QueryableSet>> Queryable(
      const ComputeContext&) override {
    return std::vector<QueryableSet>();
  }
  Cost cost() const override { return {}; }

 private:
  std::atomic<int>* const gone_;
  std::atomic<int>* const deleted_;
};

class SetRegistryTest : public testing::Test {
 protected:
  // Kept and no longer used.
  void Put(SetRegistry& registry, const std::string& id,
           absl::Duration ttl = kSetTtlDefault, double bytes = 1000.0) {
    auto claim = registry.Claim({.id = id, .ttl = ttl, .bytes = bytes});
    ASSERT_TRUE(claim.ok()) << claim.status();
    std::move(*claim).Keep(std::make_unique<ToldSet>(&gone_));
  }

  std::atomic<int> gone_{0};
};

TEST_F(SetRegistryTest, AClaimedNameIsTakenButNotYetFound) {
  SetRegistry registry(kMemory);
  auto claim = registry.Claim({.id = "keys", .bytes = 5000.0});
  ASSERT_TRUE(claim.ok()) << claim.status();
  EXPECT_EQ(claim->id(), "keys");
  EXPECT_EQ(registry.Claim({.id = "keys"}).status().code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(registry.Find("keys").status().code(), absl::StatusCode::kNotFound);
  EXPECT_GE(registry.memory().reserved(), 5000);

  ASSERT_TRUE(claim->Resize(2000.0).ok());
  const auto set = std::move(*claim).Keep(std::make_unique<ToldSet>(&gone_));
  EXPECT_EQ(registry.Claim({.id = "keys"}).status().code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(registry.Find("keys")->get(), set.get());
  // What it really holds.
  EXPECT_LT(registry.memory().reserved(), 7000);
  EXPECT_GE(registry.memory().reserved(), 2000);
}

TEST_F(SetRegistryTest, AClaimThatIsDroppedGivesAllBack) {
  SetRegistry registry(kMemory);
  {
    auto claim = registry.Claim({.id = "keys", .bytes = 5000.0});
    ASSERT_TRUE(claim.ok());
    SetClaim moved = *std::move(claim);
  }
  EXPECT_EQ(registry.memory().reserved(), 0);
  EXPECT_TRUE(registry.Claim({.id = "keys"}).ok());
}

TEST_F(SetRegistryTest, TheServerChoosesAnId) {
  SetRegistry registry(kMemory);
  auto one = registry.Claim({});
  auto other = registry.Claim({});
  ASSERT_TRUE(one.ok() && other.ok());
  EXPECT_NE(one->id(), other->id());
}

TEST_F(SetRegistryTest, MemoryIsBounded) {
  SetRegistry registry(100'000);
  const absl::Status large = registry.Claim({.bytes = 1e9}).status();
  EXPECT_EQ(DetailOf(large)->reason, "LIMIT_EXCEEDED");
  EXPECT_EQ(DetailOf(large)->metadata.at("limit"), "set_memory_bytes");
  EXPECT_EQ(RetryDelayOf(large), std::nullopt);
  EXPECT_EQ(DetailOf(registry.Claim({.bytes = std::nan("")}).status())->reason,
            "LIMIT_EXCEEDED");

  Put(registry, "a", kSetTtlDefault, 60'000);
  const absl::Status full = registry.Claim({.id = "b", .bytes = 6e4}).status();
  EXPECT_EQ(DetailOf(full)->reason, "MEMORY_BUDGET");
  EXPECT_TRUE(RetryDelayOf(full).has_value());
  ASSERT_TRUE(registry.Delete("a").ok());
  EXPECT_TRUE(registry.Claim({.id = "b", .bytes = 6e4}).ok());
}

TEST_F(SetRegistryTest, AClaimMayGrowWhileThereIsRoom) {
  SetRegistry registry(100'000);
  auto claim = registry.Claim({.id = "a", .bytes = 10'000});
  ASSERT_TRUE(claim.ok());
  ASSERT_TRUE(claim->Resize(20'000).ok());
  EXPECT_GE(registry.memory().reserved(), 20'000);
  EXPECT_LT(registry.memory().reserved(), 30'000);
  EXPECT_EQ(DetailOf(claim->Resize(200'000))->reason, "LIMIT_EXCEEDED");
  EXPECT_EQ(DetailOf(claim->Resize(90'000))->reason, "MEMORY_BUDGET");
  EXPECT_LT(registry.memory().reserved(), 30'000);
}

TEST_F(SetRegistryTest, ASetThatIsDeletedInUseGoesOnWorking) {
  SetRegistry registry(kMemory);
  std::atomic<int> deleted{0};
  auto claim = registry.Claim({.id = "keys", .bytes = 1000.0});
  ASSERT_TRUE(claim.ok());
  std::shared_ptr<StoredSet> set =
      std::move(*claim).Keep(std::make_unique<ToldSet>(&gone_, &deleted));
  ASSERT_TRUE(registry.Delete("keys").ok());
  EXPECT_EQ(deleted, 1);
  EXPECT_EQ(registry.Find("keys").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(registry.Delete("keys").code(), absl::StatusCode::kNotFound);
  // Its memory stays counted while somebody has it; its name is free.
  EXPECT_EQ(gone_, 0);
  EXPECT_GE(registry.memory().reserved(), 1000);
  EXPECT_TRUE(registry.Claim({.id = "keys"}).ok());
  set = nullptr;
  EXPECT_EQ(gone_, 1);
  EXPECT_EQ(registry.memory().reserved(), 0);
}

TEST_F(SetRegistryTest, ASetExpiresWithoutTrafficButNotInUse) {
  SetRegistry registry(kMemory);
  Put(registry, "short", absl::Milliseconds(30));
  Put(registry, "used", absl::Milliseconds(30));
  Put(registry, "long");
  auto used = registry.Find("used");
  ASSERT_TRUE(used.ok());
  const absl::Time end = absl::Now() + absl::Seconds(10);
  while (gone_ == 0 && absl::Now() < end) absl::SleepFor(absl::Milliseconds(5));
  EXPECT_EQ(gone_, 1);
  EXPECT_EQ(registry.Get("short").status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(registry.Get("used").ok());

  // Its time begins when the last user is gone.
  used = absl::CancelledError();
  EXPECT_TRUE(registry.Get("used").ok());
  while (gone_ == 1 && absl::Now() < end) absl::SleepFor(absl::Milliseconds(5));
  EXPECT_EQ(gone_, 2);
  EXPECT_TRUE(registry.Get("long").ok());
}

TEST_F(SetRegistryTest, GetTellsWhatIsKnown) {
  SetRegistry registry(kMemory);
  const absl::Time before = absl::Now();
  Put(registry, "keys", absl::Hours(1), 3000.0);
  const auto info = registry.Get("keys");
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->name, "universalSets/keys");
  EXPECT_EQ(info->state, SetState::kSuspended);
  EXPECT_EQ(info->description.heads, 2);
  EXPECT_THAT(info->keys, testing::ElementsAre(7, 8));
  EXPECT_GE(info->bytes, 3000);
  EXPECT_GE(info->create_time, before);
  EXPECT_NEAR(absl::ToDoubleSeconds(info->expire_time - before), 3600.0, 60.0);
}

TEST_F(SetRegistryTest, PagesAreInOrderAndComplete) {
  SetRegistry registry(kMemory);
  for (const char* id : {"d", "a", "c", "b", "e"}) Put(registry, id);
  std::vector<std::string> names;
  std::string after;
  for (int pages = 0; pages < 5; ++pages) {
    const SetRegistry::Page page = registry.List(after, 2);
    for (const SetInfo& info : page.sets) names.push_back(info.name);
    if (!page.more) break;
    after = page.sets.back().name.substr(sizeof("universalSets/") - 1);
  }
  EXPECT_THAT(names, testing::ElementsAre("universalSets/a", "universalSets/b",
                                          "universalSets/c", "universalSets/d",
                                          "universalSets/e"));
  EXPECT_FALSE(registry.List("", 5).more);
  EXPECT_TRUE(registry.List("zzz", 5).sets.empty());
}

TEST_F(SetRegistryTest, AUseMayOutliveTheRegistry) {
  std::shared_ptr<StoredSet> set;
  {
    SetRegistry registry(kMemory);
    Put(registry, "keys");
    set = *registry.Find("keys");
  }
  EXPECT_EQ(gone_, 0);
  EXPECT_EQ(set->description().columns, 3);
  set = nullptr;
  EXPECT_EQ(gone_, 1);
}

// Meant for the thread sanitizer.
TEST_F(SetRegistryTest, ManyThreadsMayUseIt) {
  SetRegistry registry(kMemory);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (int round = 0; round < 200; ++round) {
        const std::string id = "k" + std::to_string((round + thread) % 5);
        auto claim = registry.Claim({.id = id, .ttl = absl::Microseconds(50)});
        if (claim.ok()) {
          std::move(*claim).Keep(std::make_unique<ToldSet>(&gone_));
        }
        (void)registry.Find(id).ok();
        (void)registry.List("", 3);
        if (round % 3 == 0) (void)registry.Delete(id);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(gone_, 0);
}

}  // namespace
}  // namespace steelyard::server
