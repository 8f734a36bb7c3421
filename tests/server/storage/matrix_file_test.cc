#include "server/storage/matrix_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/storage/store_fixture.h"

namespace steelyard::server {
namespace {

using testing::HasSubstr;

class MatrixFileTest : public testing::Test {
 protected:
  // 6.4 MB: more than one block is read.
  static constexpr Index kRows = 100'000;

  void SetUp() override {
    std::ofstream(path_, std::ios::binary) << sample_.bytes;
  }
  std::unique_ptr<MatrixFile> File(std::int64_t memory) {
    memory_ = std::make_shared<MatrixMemory>(memory);
    return Again();
  }
  std::unique_ptr<MatrixFile> Again() {
    return std::make_unique<MatrixFile>(
        MatrixFile::Parts{.files = &files_,
                          .memory = memory_,
                          .info = {.id = "a",
                                   .layout = sample_.layout,
                                   .crc32c = sample_.crc32c,
                                   .create_time = {}},
                          .serial = 9,
                          .name = "matrices/a-1.bin",
                          .file = OwnedFile(open(path_.c_str(), O_RDONLY)),
                          .verified = verified_});
  }
  std::string Seen(const MatrixFile& file) const {
    return {reinterpret_cast<const char*>(file.data()), sample_.bytes.size()};
  }
  void Flip(std::size_t at) {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(sample_.bytes[at] ^ 1));
  }

  const Sample sample_{"a", kRows};
  FileSystem files_;
  const TemporaryDirectory directory_;
  const std::string path_ = directory_.path() + "/a-1.bin";
  std::shared_ptr<MatrixMemory> memory_;
  std::shared_ptr<std::atomic<bool>> verified_ =
      std::make_shared<std::atomic<bool>>(false);
};

TEST_F(MatrixFileTest, IsReadIntoMemoryWhereThereIsRoomAndMappedElse) {
  for (const bool room : {true, false}) {
    const auto file = File(sample_.layout.size() - (room ? 0 : 1));
    EXPECT_EQ(file->data(), nullptr);
    ASSERT_TRUE(file->Load({}).ok());
    EXPECT_EQ(file->mapped(), !room);
    EXPECT_EQ(Seen(*file), sample_.bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(file->data()) % 64, 0u);
    EXPECT_EQ(file->serial(), 9u);
    EXPECT_EQ(file->info().id, "a");
    EXPECT_EQ(memory_->used(), room ? sample_.layout.size() : 0);
  }
}

TEST_F(MatrixFileTest, WhatWasReadIsNotReadAgain) {
  const std::byte* data = nullptr;
  {
    const auto file = File(sample_.layout.size());
    ASSERT_TRUE(file->Load({}).ok());
    data = file->data();
    Flip(5);
    ASSERT_TRUE(file->Load({}).ok());
  }
  const auto again = Again();
  ASSERT_TRUE(again->Load({}).ok());
  EXPECT_EQ(again->data(), data);
}

// Every byte of a small part at the ends and some between.
TEST_F(MatrixFileTest, DamageIsNeverServed) {
  const std::size_t size = sample_.bytes.size();
  for (const std::size_t at : {std::size_t{0}, size / 3, size - 1}) {
    Flip(at);
    for (const std::int64_t memory : {std::int64_t{0}, sample_.layout.size()}) {
      const auto file = File(memory);
      const absl::Status status = file->Load({});
      EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
      EXPECT_THAT(std::string(status.message()),
                  HasSubstr("matrices/a-1.bin have CRC32C"));
      EXPECT_EQ(file->data(), nullptr);
      EXPECT_EQ(memory_->used(), 0);
    }
    std::ofstream(path_, std::ios::binary) << sample_.bytes;
  }
}

TEST_F(MatrixFileTest, AnotherSizeIsToldBeforeAnythingIsMapped) {
  for (const std::int64_t size : {std::int64_t{0}, sample_.layout.size() - 1,
                                  sample_.layout.size() + 1}) {
    ASSERT_EQ(truncate(path_.c_str(), size), 0);
    for (const std::int64_t memory : {std::int64_t{0}, sample_.layout.size()}) {
      const absl::Status status = File(memory)->Load({});
      EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
      EXPECT_THAT(std::string(status.message()),
                  HasSubstr("has " + std::to_string(size) + " bytes"));
    }
  }
}

TEST_F(MatrixFileTest, AStopEndsTheReadingAndTheNextLoadTriesAgain) {
  for (const std::int64_t memory : {std::int64_t{0}, sample_.layout.size()}) {
    const auto file = File(memory);
    StopSource stop;
    stop.StopAtLook(2);
    EXPECT_EQ(file->Load(stop.token()).code(), absl::StatusCode::kCancelled);
    EXPECT_EQ(file->data(), nullptr);
    EXPECT_EQ(memory_->used(), 0);
    ASSERT_TRUE(file->Load({}).ok());
    EXPECT_EQ(Seen(*file), sample_.bytes);
  }
}

TEST_F(MatrixFileTest, ManyThreadsReadItOnce) {
  const auto file = File(sample_.layout.size());
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      EXPECT_TRUE(file->Load({}).ok());
      EXPECT_EQ(static_cast<char>(file->data()[77]), sample_.bytes[77]);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(memory_->used(), sample_.layout.size());
}

}  // namespace
}  // namespace steelyard::server
