#include "server/admission/memory_budget.h"

#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace steelyard::server {
namespace {

TEST(MemoryBudgetTest, ReservesUpToTheTotalAndGivesBack) {
  MemoryBudget budget(100);
  {
    const auto most = budget.TryReserve(60);
    ASSERT_TRUE(most.has_value());
    EXPECT_EQ(most->bytes(), 60);
    EXPECT_FALSE(budget.TryReserve(41).has_value());
    const auto rest = budget.TryReserve(40);
    EXPECT_TRUE(rest.has_value());
    EXPECT_EQ(budget.reserved(), 100);
  }
  EXPECT_EQ(budget.reserved(), 0);
}

TEST(MemoryBudgetTest, AMovedReservationIsGivenBackOnce) {
  MemoryBudget budget(100);
  MemoryReservation outer;
  {
    auto inner = budget.TryReserve(30);
    ASSERT_TRUE(inner.has_value());
    outer = std::move(*inner);
  }
  EXPECT_EQ(budget.reserved(), 30);
  auto other = budget.TryReserve(20);
  ASSERT_TRUE(other.has_value());
  outer = std::move(*other);
  EXPECT_EQ(budget.reserved(), 20);
  outer = {};
  EXPECT_EQ(budget.reserved(), 0);
}

TEST(MemoryBudgetTest, AReservationShrinksAndNeverGrows) {
  MemoryBudget budget(100);
  {
    auto held = budget.TryReserve(60);
    ASSERT_TRUE(held.has_value());
    held->ShrinkTo(70);
    EXPECT_EQ(budget.reserved(), 60);
    held->ShrinkTo(25);
    EXPECT_EQ(held->bytes(), 25);
    EXPECT_EQ(budget.reserved(), 25);
  }
  EXPECT_EQ(budget.reserved(), 0);
  MemoryReservation none;
  none.ShrinkTo(0);
  EXPECT_EQ(none.bytes(), 0);
}

TEST(MemoryBudgetTest, ThreadsNeverReserveMoreThanTheTotal) {
  MemoryBudget budget(3);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        const auto held = budget.TryReserve(1);
        EXPECT_LE(budget.reserved(), 3);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(budget.reserved(), 0);
}

}  // namespace
}  // namespace steelyard::server
