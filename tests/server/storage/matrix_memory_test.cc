#include "server/storage/matrix_memory.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/server/storage/store_fixture.h"

namespace steelyard::server {
namespace {

TEST(MatrixBytesTest, MemoryIsAlignedAndAFileIsSeen) {
  const auto memory = MatrixBytes::Allocated(1000);
  ASSERT_NE(memory, nullptr);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory->data()) % 64, 0u);
  EXPECT_FALSE(memory->mapped());
  std::memset(memory->writable(), 7, 1000);

  const TemporaryDirectory directory;
  const OwnedFile file(
      open((directory.path() + "/f").c_str(), O_RDWR | O_CREAT, 0600));
  ASSERT_EQ(pwrite(file.get(), memory->data(), 1000, 0), 1000);
  const auto mapped = MatrixBytes::Mapped(file.get(), 1000);
  ASSERT_NE(mapped, nullptr);
  EXPECT_TRUE(mapped->mapped());
  EXPECT_EQ(std::memcmp(mapped->data(), memory->data(), 1000), 0);
  EXPECT_EQ(MatrixBytes::Mapped(-1, 1000), nullptr);
}

// More than there are addresses.
TEST(MatrixBytesTest, NoMemoryIsNoCrash) {
  EXPECT_EQ(MatrixBytes::Allocated(std::int64_t{1} << 60), nullptr);
}

TEST(MatrixMemoryTest, KeptBytesAreFoundUntilTheyAreDropped) {
  MatrixMemory memory(1000);
  auto bytes = memory.TryAllocate(600);
  ASSERT_NE(bytes, nullptr);
  EXPECT_EQ(memory.used(), 600);
  const std::byte* const data = bytes->data();
  memory.Keep(1, bytes);
  bytes = nullptr;
  EXPECT_EQ(memory.used(), 600);
  EXPECT_EQ(memory.Find(1)->data(), data);
  EXPECT_EQ(memory.Find(2), nullptr);
  memory.Drop(1);
  EXPECT_EQ(memory.Find(1), nullptr);
  EXPECT_EQ(memory.used(), 0);
}

TEST(MatrixMemoryTest, TheLeastRecentlyUsedLeave) {
  MatrixMemory memory(1000);
  for (const std::uint64_t serial : {1u, 2u, 3u}) {
    memory.Keep(serial, memory.TryAllocate(300));
  }
  EXPECT_NE(memory.Find(1), nullptr);
  memory.Keep(4, memory.TryAllocate(300));
  EXPECT_EQ(memory.Find(2), nullptr);
  EXPECT_NE(memory.Find(3), nullptr);
  EXPECT_NE(memory.Find(1), nullptr);
  EXPECT_NE(memory.Find(4), nullptr);
  EXPECT_EQ(memory.used(), 900);
}

TEST(MatrixMemoryTest, WhatSomebodyHasStaysAndCounts) {
  MatrixMemory memory(1000);
  auto held = memory.TryAllocate(600);
  memory.Keep(1, held);
  memory.Keep(2, memory.TryAllocate(300));
  // Not even 2 leaves for what does not fit anyway.
  EXPECT_EQ(memory.TryAllocate(500), nullptr);
  EXPECT_NE(memory.Find(2), nullptr);
  auto more = memory.TryAllocate(400);
  EXPECT_NE(more, nullptr);
  EXPECT_EQ(memory.Find(2), nullptr);
  EXPECT_EQ(memory.used(), 1000);
  memory.Drop(1);
  EXPECT_EQ(memory.used(), 1000);
  held = nullptr;
  EXPECT_EQ(memory.used(), 400);
  EXPECT_EQ(memory.TryAllocate(1001), nullptr);
}

TEST(MatrixMemoryTest, BytesMayOutliveIt) {
  std::shared_ptr<MatrixBytes> bytes;
  {
    MatrixMemory memory(1000);
    bytes = memory.TryAllocate(100);
    memory.Keep(1, bytes);
  }
  bytes->writable()[99] = std::byte{1};
  EXPECT_EQ(bytes->data()[99], std::byte{1});
}

TEST(MatrixMemoryTest, ManyThreadsStayWithinTheBudget) {
  MatrixMemory memory(1000);
  std::vector<std::thread> threads;
  for (std::uint64_t thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&memory, thread] {
      for (std::uint64_t round = 0; round < 300; ++round) {
        const std::uint64_t serial = thread * 1000 + round;
        if (auto bytes = memory.TryAllocate(150 + (round % 5) * 100)) {
          EXPECT_LE(memory.used(), 1000);
          memory.Keep(serial, std::move(bytes));
        }
        memory.Find(serial - 1);
        if (round % 7 == 0) memory.Drop(serial);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(memory.used(), 1000);
  EXPECT_NE(memory.TryAllocate(1000), nullptr);
}

}  // namespace
}  // namespace steelyard::server
