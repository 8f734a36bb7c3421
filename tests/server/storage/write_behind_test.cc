#include "server/storage/write_behind.h"

#include <fcntl.h>

#include <cerrno>
#include <fstream>
#include <future>
#include <iterator>

#include "gtest/gtest.h"
#include "tests/server/storage/store_fixture.h"

namespace steelyard::server {
namespace {

constexpr std::int64_t kMiB = std::int64_t{1} << 20;

// What O_DIRECT must be given, on any disk.
constexpr std::int64_t kBlock = 4096;

// Fails, refuses or holds up writes.
class TestFiles final : public FileSystem {
 public:
  std::int64_t Write(int file, const void* data, std::int64_t size,
                     std::int64_t at) override {
    if (gate.valid()) gate.wait();
    if (at + size > fails_from) return -ENOSPC;
    if (file == direct) {
      ++direct_writes;
      if (refuses_direct) return -EINVAL;
      const auto address = reinterpret_cast<std::uintptr_t>(data);
      if (address % kBlock != 0 || size % kBlock != 0 || at % kBlock != 0) {
        ++misaligned;
      }
    }
    return FileSystem::Write(file, data, size, at);
  }
  std::shared_future<void> gate;
  std::int64_t fails_from = std::int64_t{1} << 60;
  bool refuses_direct = false;
  int direct = -1;
  std::atomic<int> direct_writes{0};
  std::atomic<int> misaligned{0};
};

class WriteBehindTest : public testing::Test {
 protected:
  WriteBehindTest()
      : file_(files_.Open(path_, O_RDWR | O_CREAT)),
        direct_(files_.Open(path_, O_WRONLY | O_DIRECT)) {
    files_.direct = direct_.get();
  }
  WriteBehind::Target Target(bool direct = true) {
    return {.files = &files_,
            .file = file_.get(),
            .direct = direct ? direct_.get() : -1};
  }
  absl::Span<const std::byte> Bytes(std::int64_t from, std::int64_t to) const {
    return sample_
        .Part(static_cast<std::size_t>(from),
              static_cast<std::size_t>(to - from))
        .data;
  }
  std::string Stored() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  const Sample sample_{"a", 100'000};  // 6.4 MB
  const std::int64_t size_ = sample_.layout.size();
  const TemporaryDirectory directory_;
  const std::string path_ = directory_.path() + "/a";
  TestFiles files_;
  const OwnedFile file_;
  const OwnedFile direct_;
};

// Begun, flushed and gone on at bytes that no disk has a block at.
TEST_F(WriteBehindTest, HoweverTheBytesAreCutTheyAreThere) {
  for (const bool direct : {true, false}) {
    for (const std::int64_t piece :
         {std::int64_t{1111}, kBlock, std::int64_t{70'000}, kMiB, size_}) {
      ASSERT_EQ(files_.Truncate(file_.get(), 0), 0);
      std::int64_t at = 0;
      for (const std::int64_t end : {std::int64_t{100}, kBlock - 1, 2 * kBlock,
                                     4 * kBlock + 17, 2 * kMiB + 5, size_}) {
        WriteBehind behind(Target(direct), at);
        for (; at < end; at = std::min(at + piece, end)) {
          behind.Append(Bytes(at, std::min(at + piece, end)));
        }
        behind.Flush();
        EXPECT_EQ(behind.written(), end);
        // Half a block more, by the same writer.
        const std::int64_t more = std::min(at + kBlock / 2, size_);
        behind.Append(Bytes(at, more));
        behind.Flush();
        at = more;
        EXPECT_EQ(behind.written(), more);
        EXPECT_EQ(behind.error(), 0);
      }
      EXPECT_EQ(Stored(), sample_.bytes) << direct << " " << piece;
    }
  }
  EXPECT_EQ(files_.misaligned, 0);
  EXPECT_TRUE(direct_.get() < 0 || files_.direct_writes > 0);
}

TEST_F(WriteBehindTest, WithoutDirectWritesTheBytesGoThroughTheCache) {
  files_.refuses_direct = true;
  WriteBehind behind(Target(), 0);
  behind.Append(Bytes(0, size_));
  behind.Flush();
  EXPECT_EQ(behind.error(), 0);
  EXPECT_EQ(Stored(), sample_.bytes);
  // It does not try again each time.
  EXPECT_LE(files_.direct_writes, 1);
}

TEST_F(WriteBehindTest, AppendDoesNotWaitForTheDiskUntilTheBuffersAreFull) {
  std::promise<void> open;
  files_.gate = open.get_future().share();
  WriteBehind behind(Target(), 0);
  // Comes back although nothing can be written.
  behind.Append(Bytes(0, WriteBehind::kBytes));
  EXPECT_EQ(behind.written(), 0);
  std::thread rest([&] { behind.Append(Bytes(WriteBehind::kBytes, size_)); });
  open.set_value();
  rest.join();
  behind.Flush();
  EXPECT_EQ(behind.written(), size_);
  EXPECT_EQ(Stored(), sample_.bytes);
}

TEST_F(WriteBehindTest, AnErrorIsTheLastThingThatHappens) {
  files_.fails_from = 2 * kMiB;
  WriteBehind behind(Target(), 0);
  behind.Append(Bytes(0, size_));
  behind.Flush();
  EXPECT_EQ(behind.error(), ENOSPC);
  EXPECT_EQ(behind.written(), 2 * kMiB);
  behind.Append(Bytes(0, size_));
  behind.Flush();
  EXPECT_EQ(behind.written(), 2 * kMiB);
  EXPECT_EQ(Stored(), sample_.bytes.substr(0, 2 * kMiB));
}

TEST_F(WriteBehindTest, WhatIsLeftIsNotWritten) {
  {
    WriteBehind behind(Target(), 0);
    behind.Append(Bytes(0, kMiB / 2));
  }
  EXPECT_EQ(Stored(), "");
}

}  // namespace
}  // namespace steelyard::server
