#include "steelyard/workers.h"

#include <atomic>
#include <new>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace steelyard {
namespace {

TEST(WorkersTest, RunsEveryTaskOnce) {
  for (const int count : {1, 2, 4}) {
    const Workers workers(count);
    EXPECT_EQ(workers.count(), count);
    std::vector<std::atomic<int>> calls(1000);
    workers.ParallelFor(1000, {}, [&](Index task) {
      calls[static_cast<std::size_t>(task)].fetch_add(1);
    });
    for (const auto& n : calls) EXPECT_EQ(n.load(), 1);
  }
}

TEST(WorkersTest, NoTasksMeansNoCalls) {
  const Workers workers(2);
  workers.ParallelFor(0, {}, [&](Index) { FAIL() << "no task was asked for"; });
  SUCCEED();
}

TEST(WorkersTest, NestedCallsFinish) {
  const Workers workers(4);
  std::atomic<int> calls{0};
  workers.ParallelFor(8, {}, [&](Index) {
    workers.ParallelFor(8, {}, [&](Index) { calls.fetch_add(1); });
  });
  EXPECT_EQ(calls.load(), 64);
}

TEST(WorkersTest, SeveralThreadsMayCallAtOnce) {
  const Workers workers(2);
  std::atomic<int> calls{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      workers.ParallelFor(100, {}, [&](Index) { calls.fetch_add(1); });
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(calls.load(), 400);
}

// Four bodies that wait for each other: fewer threads would never finish, and
// another pool of one must not take them away.
TEST(WorkersTest, RunsAsManyBodiesAtOnceAsAsked) {
  const Workers one(1);
  const Workers workers(4);
  std::atomic<int> arrived{0};
  workers.ParallelFor(4, {}, [&](Index) {
    arrived.fetch_add(1);
    while (arrived.load() < 4) std::this_thread::yield();
  });
  EXPECT_EQ(arrived.load(), 4);
}

TEST(WorkersTest, NoTaskStartsAfterAStop) {
  const Workers workers(4);
  StopSource source;
  std::atomic<int> started{0};
  workers.ParallelFor(1000, source.token(), [&](Index) {
    started.fetch_add(1);
    source.RequestStop(StopReason::kCancelled);
  });
  // A worker that had looked before the stop may still start its one task.
  EXPECT_GE(started.load(), 1);
  EXPECT_LE(started.load(), 4);
}

TEST(WorkersTest, WhatABodyThrowsArrivesAtTheCaller) {
  const Workers workers(3);
  EXPECT_THROW(workers.ParallelFor(
                   50, {}, [&](Index task) {
                     if (task == 17) throw std::bad_alloc();
                   }),
               std::bad_alloc);
}

}  // namespace
}  // namespace steelyard
