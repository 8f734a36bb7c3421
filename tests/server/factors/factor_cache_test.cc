#include "server/factors/factor_cache.h"

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "power/power_factor.h"
#include "tests/server/factors/small_kernel.h"

namespace steelyard::server {
namespace {

const MatrixIdentity kA{.id = "a", .serial = 1};
const MatrixIdentity kB{.id = "b", .serial = 2};
const MatrixIdentity kC{.id = "c", .serial = 3};
const PowerRegressionOptions kPlain{.family = PowerFamily::kLeftGramPower};

PreparedMatrix Prepared(const PowerRegressionOptions& options, Index d = 16) {
  const auto factor = std::make_shared<PowerFactor>();
  factor->factor.r = Matrix<double>(d, d);
  factor->ridge = options.ridge;
  factor->method = options.method;
  return PreparedMatrix(factor);
}

const std::int64_t kOne = Prepared(kPlain).bytes();

// What became of one Ask.
struct Asker {
  std::vector<FactorCache::Grant> grants;
  FactorCache::Place place;

  bool waits() const { return grants.empty(); }
  bool has_turn() const {
    return grants.size() == 1 &&
           std::holds_alternative<FactorCache::Turn>(grants.front());
  }
  FactorCache::Factor factor() const {
    const auto* const factor =
        grants.size() == 1 ? std::get_if<FactorCache::Factor>(&grants.front())
                           : nullptr;
    return factor == nullptr ? nullptr : *factor;
  }
  absl::Status error() const { return std::get<absl::Status>(grants.front()); }
  FactorCache::Factor Finish(const PowerRegressionOptions& options = kPlain,
                             Index d = 16) {
    return std::move(std::get<FactorCache::Turn>(grants.front()))
        .Finish(Prepared(options, d));
  }
  void GiveUp() { grants.clear(); }
};

std::unique_ptr<Asker> Ask(FactorCache& cache, const MatrixIdentity& matrix,
                           const RegressionOptions& options = kPlain) {
  auto asker = std::make_unique<Asker>();
  asker->place =
      cache.Ask(matrix, options, [to = asker.get()](FactorCache::Grant grant) {
        to->grants.push_back(std::move(grant));
      });
  return asker;
}

void Compute(FactorCache& cache, const MatrixIdentity& matrix) {
  const auto asker = Ask(cache, matrix);
  ASSERT_TRUE(asker->has_turn());
  asker->Finish();
}

// Kernels stand beside powers of the same matrix, in the same memory.
TEST(FactorCacheTest, KernelsAreKeptByTheirOptions) {
  FactorCache cache(std::int64_t{1} << 20);
  Compute(cache, kA);
  AttentionKernelOptions plain, rows;
  plain.ridge = rows.ridge = 0.5;
  rows.row_ridge = std::vector<double>(test::kKernelRows, 0.25);
  for (const AttentionKernelOptions& options : {plain, rows}) {
    const auto asker = Ask(cache, kA, options);
    ASSERT_TRUE(asker->has_turn());
    const std::int64_t before = cache.memory().reserved();
    const auto made =
        std::move(std::get<FactorCache::Turn>(asker->grants.front()))
            .Finish(test::SmallKernel(options));
    EXPECT_EQ(cache.memory().reserved(), before + BytesOf(made->prepared));
    EXPECT_EQ(cache.Find(kA, options), made);
    EXPECT_EQ(cache.Find(kB, options), nullptr);
  }
  EXPECT_NE(cache.Find(kA, plain), cache.Find(kA, rows));
  EXPECT_NE(cache.Find(kA, kPlain), nullptr);
  cache.Drop("a");
  EXPECT_EQ(cache.memory().reserved(), 0);
}

TEST(FactorCacheTest, TheFirstComputesAndTheNextFindsIt) {
  FactorCache cache(10 * kOne);
  EXPECT_EQ(cache.Find(kA, kPlain), nullptr);
  const auto first = Ask(cache, kA);
  ASSERT_TRUE(first->has_turn());
  EXPECT_TRUE(cache.Coming(kA, kPlain));
  const FactorCache::Factor made = first->Finish();
  EXPECT_FALSE(cache.Coming(kA, kPlain));
  EXPECT_EQ(Ask(cache, kA)->factor(), made);
  EXPECT_EQ(cache.Find(kA, kPlain), made);
  EXPECT_EQ(cache.memory().reserved(), kOne);
  // The same name, another matrix.
  EXPECT_TRUE(Ask(cache, {.id = "a", .serial = 9})->has_turn());
}

TEST(FactorCacheTest, TheLeastRecentlyUsedLeaves) {
  FactorCache cache(2 * kOne);
  Compute(cache, kA);
  Compute(cache, kB);
  EXPECT_NE(cache.Find(kA, kPlain), nullptr);  // used: B is the older now
  Compute(cache, kC);
  EXPECT_EQ(cache.Find(kB, kPlain), nullptr);
  EXPECT_NE(cache.Find(kA, kPlain), nullptr);
  EXPECT_NE(cache.Find(kC, kPlain), nullptr);
  EXPECT_EQ(cache.memory().reserved(), 2 * kOne);
}

TEST(FactorCacheTest, WhatIsTooLargeIsUsedOnceAndEvictsNothing) {
  FactorCache cache(2 * kOne);
  Compute(cache, kA);
  const auto large = Ask(cache, kB);
  const auto behind = Ask(cache, kB);
  const FactorCache::Factor made = large->Finish(kPlain, 1024);
  EXPECT_EQ(behind->factor(), made);
  EXPECT_EQ(made->memory.bytes(), 0);
  EXPECT_TRUE(Ask(cache, kB)->has_turn());
  EXPECT_NE(cache.Find(kA, kPlain), nullptr);
  EXPECT_EQ(cache.memory().reserved(), kOne);
}

TEST(FactorCacheTest, WithoutMemoryNothingIsKept) {
  FactorCache cache(0);
  Compute(cache, kA);
  EXPECT_EQ(cache.Find(kA, kPlain), nullptr);
}

TEST(FactorCacheTest, WhatIsInUseStaysAndKeepsItsMemory) {
  FactorCache cache(2 * kOne);
  Compute(cache, kA);
  FactorCache::Factor used = cache.Find(kA, kPlain);
  Compute(cache, kB);
  Compute(cache, kC);  // B is in nobody's use, though A is older
  EXPECT_EQ(cache.Find(kA, kPlain), used);
  EXPECT_EQ(cache.Find(kB, kPlain), nullptr);
  cache.Drop("a");
  EXPECT_EQ(cache.Find(kA, kPlain), nullptr);
  EXPECT_EQ(cache.memory().reserved(), 2 * kOne);
  EXPECT_EQ(BytesOf(used->prepared), kOne);
  used.reset();
  EXPECT_EQ(cache.memory().reserved(), kOne);
}

TEST(FactorCacheTest, WhatDoesNotServeIsComputedForItself) {
  PowerRegressionOptions ridge = kPlain;
  ridge.ridge = 0.5;
  PowerRegressionOptions qr = kPlain;
  qr.method = PowerMethod::kQr;
  FactorCache cache(10 * kOne);
  Compute(cache, kA);
  for (const PowerRegressionOptions& other : {ridge, qr}) {
    EXPECT_EQ(cache.Find(kA, other), nullptr);
    const auto asker = Ask(cache, kA, other);
    ASSERT_TRUE(asker->has_turn());
    EXPECT_NE(Ask(cache, kA)->factor(), nullptr);
    asker->Finish(other);
    EXPECT_NE(cache.Find(kA, other), nullptr);
  }
  EXPECT_EQ(cache.memory().reserved(), 3 * kOne);
}

TEST(FactorCacheTest, ATurnThatIsDroppedPassesToTheNextInLine) {
  FactorCache cache(10 * kOne);
  const auto first = Ask(cache, kA);
  const auto second = Ask(cache, kA);
  const auto third = Ask(cache, kA);
  const auto fourth = Ask(cache, kA);
  EXPECT_TRUE(second->waits());
  second->place.Leave();  // disturbs nobody
  EXPECT_TRUE(third->waits());
  first->GiveUp();
  EXPECT_TRUE(second->waits());
  ASSERT_TRUE(third->has_turn());
  EXPECT_TRUE(fourth->waits());
  const FactorCache::Factor made = third->Finish();
  EXPECT_EQ(fourth->factor(), made);
  // The last one's turn passes to nobody.
  const auto alone = Ask(cache, kB);
  alone->GiveUp();
  EXPECT_FALSE(cache.Coming(kB, kPlain));
  EXPECT_TRUE(Ask(cache, kB)->has_turn());
}

TEST(FactorCacheTest, AnErrorGoesToTheWholeLineAndIsNotKept) {
  FactorCache cache(10 * kOne);
  const auto first = Ask(cache, kA);
  const auto second = Ask(cache, kA);
  const auto third = Ask(cache, kA);
  std::move(std::get<FactorCache::Turn>(first->grants.front()))
      .Fail(absl::InvalidArgumentError("a"));
  EXPECT_EQ(second->error().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(third->error().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(Ask(cache, kA)->has_turn());
}

TEST(FactorCacheTest, ADeletedMatrixIsForgottenAlsoWhileItIsFactored) {
  FactorCache cache(10 * kOne);
  const auto first = Ask(cache, kA);
  const auto second = Ask(cache, kA);
  cache.Drop("a");
  const FactorCache::Factor made = first->Finish();
  EXPECT_EQ(second->factor(), made);  // who works on it goes on
  EXPECT_EQ(cache.Find(kA, kPlain), nullptr);
  EXPECT_EQ(cache.memory().reserved(), 0);
}

TEST(FactorCacheTest, FiftyThreadsComputeItOnce) {
  FactorCache cache(10 * kOne);
  std::atomic<int> computed{0};
  std::atomic<int> turns{0};
  std::vector<std::future<FactorCache::Factor>> threads;
  for (int i = 0; i < 50; ++i) {
    threads.push_back(std::async(std::launch::async, [&] {
      std::promise<FactorCache::Factor> got;
      const FactorCache::Place place =
          cache.Ask(kA, kPlain, [&](FactorCache::Grant grant) {
            auto* const turn = std::get_if<FactorCache::Turn>(&grant);
            if (turn == nullptr) {
              return got.set_value(std::get<FactorCache::Factor>(grant));
            }
            std::this_thread::yield();
            // The first five give up.
            if (turns.fetch_add(1) < 5) return got.set_value(nullptr);
            ++computed;
            got.set_value(std::move(*turn).Finish(Prepared(kPlain)));
          });
      return got.get_future().get();
    }));
  }
  int without = 0;
  for (auto& thread : threads) {
    const FactorCache::Factor factor = thread.get();
    if (factor == nullptr) {
      ++without;
    } else {
      EXPECT_EQ(factor, cache.Find(kA, kPlain));
    }
  }
  EXPECT_EQ(computed, 1);
  EXPECT_EQ(without, 5);
}

}  // namespace
}  // namespace steelyard::server
