#include "server/storage/upload_file.h"

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>

#include "gtest/gtest.h"
#include "steelyard/status.h"
#include "tests/server/storage/store_fixture.h"

namespace steelyard::server {
namespace {

using std::chrono::seconds;

constexpr std::int64_t kMiB = std::int64_t{1} << 20;

// Whether bytes are written while the next ones come.
class UploadFileTest : public testing::TestWithParam<bool> {
 protected:
  UploadFile::Place Place() {
    return {.files = &files_,
            .part = part_,
            .marks = marks_,
            .name = "uploads/a-1.part",
            .total = sample_.layout.size(),
            .behind_from = GetParam() ? 0 : UploadFile::kBehindFrom};
  }
  UploadFile Created() {
    auto file = UploadFile::Create(Place());
    EXPECT_TRUE(file.ok()) << file.status();
    return *std::move(file);
  }
  UploadFile Resumed() {
    auto file = UploadFile::Resume(Place());
    EXPECT_TRUE(file.ok()) << file.status();
    return *std::move(file);
  }
  // Up to byte `end` in chunks of `chunk`.
  void AppendTo(UploadFile& file, std::int64_t end, std::int64_t chunk) {
    while (file.next() < end) {
      const std::int64_t at = file.next();
      const std::int64_t count = std::min(chunk, end - at);
      ASSERT_TRUE(file.Append(sample_.Part(static_cast<std::size_t>(at),
                                           static_cast<std::size_t>(count)),
                              now_)
                      .ok());
      now_ += seconds(1);
    }
    ASSERT_TRUE(file.Flush().ok());
  }
  void ExpectBytesOf(const UploadFile& file) {
    EXPECT_EQ(
        file.crc32c(),
        Crc32c(std::string_view(sample_.bytes)
                   .substr(0, static_cast<std::size_t>(file.committed()))));
  }
  void Overwrite(const std::string& path, std::int64_t at,
                 const std::string& bytes) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(at);
    file << bytes;
  }

  const Sample sample_{"a", 65'536};  // 4 MiB
  FileSystem files_;
  const TemporaryDirectory directory_{true};
  const std::string part_ = directory_.path() + "/a.part";
  const std::string marks_ = directory_.path() + "/a.marks";
  UploadFile::Time now_{seconds(1'700'000'000)};
};

TEST_P(UploadFileTest, WhateverTheChunksWhatCameIsThere) {
  for (const std::int64_t chunk : {std::int64_t{1000}, std::int64_t{70'000},
                                   kMiB - 1, kMiB, std::int64_t{2'500'000}}) {
    Created();
    for (const std::int64_t end : {std::int64_t{1}, std::int64_t{2000}, kMiB,
                                   kMiB + 5, 3 * kMiB - 1, 4 * kMiB}) {
      UploadFile file = Resumed();
      AppendTo(file, end, chunk);
      EXPECT_EQ(file.committed(), end);
      ExpectBytesOf(file);
      const UploadFile again = Resumed();
      EXPECT_EQ(again.committed(), end) << chunk;
      ExpectBytesOf(again);
      EXPECT_EQ(UploadFile::LastTime(files_, marks_, {}), now_ - seconds(1));
    }
    // Of 4 MiB and of six beginnings, however small the chunks.
    EXPECT_LE(std::filesystem::file_size(marks_), (4u + 6u) * 64u);
  }
}

TEST_P(UploadFileTest, BytesThatAreNotThereAreNotClaimed) {
  UploadFile written = Created();
  AppendTo(written, 4 * kMiB, 100'000);
  // Zeros, as of a stretch that never reached the disk: of each MiB some page.
  std::int64_t before = 4 * kMiB;
  for (const std::int64_t at :
       {3 * kMiB + 4096, 2 * kMiB + 400'000, kMiB - 4096, std::int64_t{0}}) {
    Overwrite(part_, at, std::string(4096, '\0'));
    const UploadFile file = Resumed();
    EXPECT_LE(file.committed(), at);
    EXPECT_LE(file.committed(), before);
    // What stands before the last whole mark is not lost.
    EXPECT_GT(file.committed(), at - kMiB - 100'000);
    ExpectBytesOf(file);
    before = file.committed();
  }
}

TEST_P(UploadFileTest, AShorterFileIsNoLongerThanItIs) {
  UploadFile written = Created();
  AppendTo(written, 3 * kMiB, kMiB);
  for (const std::int64_t size :
       {3 * kMiB - 1, 2 * kMiB, kMiB + 1, kMiB - 1, std::int64_t{0}}) {
    ASSERT_EQ(truncate(part_.c_str(), size), 0);
    UploadFile file = Resumed();
    EXPECT_EQ(file.committed(), size / kMiB * kMiB);
    ExpectBytesOf(file);
  }
  // It goes on from there.
  UploadFile file = Resumed();
  AppendTo(file, 4 * kMiB, 300'000);
  EXPECT_EQ(Resumed().committed(), 4 * kMiB);
  ExpectBytesOf(Resumed());
}

TEST_P(UploadFileTest, ADamagedMarkCostsItsOwnStretchAtMost) {
  UploadFile written = Created();
  AppendTo(written, 4 * kMiB, kMiB);
  std::string marks(std::filesystem::file_size(marks_), '\0');
  std::ifstream(marks_, std::ios::binary)
      .read(marks.data(), static_cast<std::streamsize>(marks.size()));
  ASSERT_EQ(marks.size(), 4u * 32);
  for (std::size_t at = 0; at < marks.size(); ++at) {
    std::string damaged = marks;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x40);
    std::ofstream(marks_, std::ios::binary) << damaged;
    EXPECT_EQ(Resumed().committed(), (at < 3 * 32 ? 4 : 3) * kMiB);
  }
  std::filesystem::remove(marks_);
  EXPECT_EQ(Resumed().committed(), 0);
  EXPECT_EQ(UploadFile::LastTime(files_, marks_, now_), now_);
}

// The newest mark is not the one that is overwritten: a write that is cut in
// the middle takes nothing that was acknowledged.
TEST_P(UploadFileTest, ATornMarkTakesNothingThatWasAcknowledged) {
  UploadFile file = Created();
  for (std::int64_t end = 50'000; end < 4 * kMiB; end += 50'000) {
    const auto before = std::filesystem::file_size(marks_);
    std::string old(before, '\0');
    std::ifstream(marks_, std::ios::binary)
        .read(old.data(), static_cast<std::streamsize>(before));
    const std::int64_t acknowledged = file.committed();
    AppendTo(file, end, 50'000);
    std::string now(std::filesystem::file_size(marks_), '\0');
    std::ifstream(marks_, std::ios::binary)
        .read(now.data(), static_cast<std::streamsize>(now.size()));
    // Where the new mark begins, and the first half of it over the old bytes.
    std::size_t at = 0;
    while (at < old.size() && old[at] == now[at]) ++at;
    at = at / 32 * 32;
    std::string torn = old;
    torn.resize(std::max(torn.size(), at + 16));
    torn.replace(at, 16, now.substr(at, 16));
    std::ofstream(marks_, std::ios::binary) << torn;
    EXPECT_EQ(Resumed().committed(), acknowledged) << end;
    std::ofstream(marks_, std::ios::binary) << now;
  }
}

// A mark of another upload's bytes says nothing about these.
TEST_P(UploadFileTest, MarksBehindAGapAreNotFollowed) {
  UploadFile written = Created();
  AppendTo(written, 4 * kMiB, kMiB);
  written.Restart();
  EXPECT_EQ(written.committed(), 0);
  EXPECT_EQ(Resumed().committed(), 0);
  AppendTo(written, kMiB, kMiB);
  EXPECT_EQ(Resumed().committed(), kMiB);
}

// Fails the call that is asked for.
class FailingFiles final : public FileSystem {
 public:
  std::int64_t Write(int file, const void* data, std::int64_t size,
                     std::int64_t at) override {
    if (--writes_left < 0) return -ENOSPC;
    // The last one before the end is short.
    if (writes_left == 0) size = (size + 1) / 2;
    return FileSystem::Write(file, data, size, at);
  }
  int Allocate(int file, std::int64_t size) override {
    allocated = std::max(allocated, size);
    return no_room ? -ENOSPC : FileSystem::Allocate(file, size);
  }
  std::int64_t Room(int file) override {
    return room >= 0 ? room : FileSystem::Room(file);
  }
  int Sync(int file) override {
    return sync_fails ? -EIO : FileSystem::Sync(file);
  }
  std::atomic<int> writes_left{1'000'000};  // by a thread of the file, too
  bool no_room = false;
  std::int64_t room = -1;      // bytes; -1: what is there
  std::int64_t allocated = 0;  // the most that was asked for
  bool sync_fails = false;
};

TEST_P(UploadFileTest, AFullDiskLosesNothingAndTheUploadGoesOn) {
  FailingFiles failing;
  UploadFile::Place place = Place();
  place.files = &failing;
  auto file = UploadFile::Create(place);
  ASSERT_TRUE(file.ok());
  AppendTo(*file, kMiB + 7, 100'000);
  const std::int64_t before = file->committed();
  for (const int writes : {0, 1, 2}) {
    failing.writes_left = writes;
    absl::Status full = file->Append(
        sample_.Part(static_cast<std::size_t>(before), 5000), now_);
    if (full.ok()) full = file->Flush();
    ASSERT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(DetailOf(full)->reason, "DISK_FULL") << full;
    EXPECT_EQ(file->next(), before);
    EXPECT_EQ(file->committed(), before);
    const UploadFile other = Resumed();
    EXPECT_EQ(other.committed(), before);
    ExpectBytesOf(other);
  }
  failing.writes_left = 1'000'000;
  AppendTo(*file, 4 * kMiB, 100'000);
  ExpectBytesOf(*file);
}

TEST_P(UploadFileTest, NoRoomIsToldBeforeTheFirstByte) {
  FailingFiles failing;
  failing.no_room = true;
  UploadFile::Place place = Place();
  place.files = &failing;
  EXPECT_EQ(DetailOf(UploadFile::Create(place).status())->reason, "DISK_FULL");
  EXPECT_FALSE(std::filesystem::exists(part_));
  EXPECT_FALSE(std::filesystem::exists(marks_));
}

TEST_P(UploadFileTest, TooLargeAMatrixIsToldBeforeTheFirstByte) {
  FailingFiles failing;
  UploadFile::Place place = Place();
  place.files = &failing;
  failing.room = place.total - 1;
  EXPECT_EQ(DetailOf(UploadFile::Create(place).status())->reason, "DISK_FULL");
  EXPECT_FALSE(std::filesystem::exists(part_));
  failing.room = place.total;
  EXPECT_TRUE(UploadFile::Create(place).ok());
}

// As much again as came, and a MiB at the least.
TEST_P(UploadFileTest, RoomIsTakenAsBytesCome) {
  FailingFiles failing;
  UploadFile::Place place = Place();
  place.files = &failing;
  auto file = UploadFile::Create(place);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(failing.allocated, kMiB);
  AppendTo(*file, 1000, 1000);
  EXPECT_EQ(failing.allocated, kMiB);
  for (const std::int64_t end : {kMiB + 1, 3 * kMiB / 2, 4 * kMiB}) {
    AppendTo(*file, end, 100'000);
    EXPECT_GE(failing.allocated, end);
    EXPECT_LE(failing.allocated, std::min(2 * end + kMiB, 4 * kMiB));
  }
}

TEST_P(UploadFileTest, NoRoomForTheNextBytesLosesNothing) {
  FailingFiles failing;
  UploadFile::Place place = Place();
  place.files = &failing;
  auto file = UploadFile::Create(place);
  ASSERT_TRUE(file.ok());
  AppendTo(*file, kMiB, 100'000);
  failing.no_room = true;
  absl::Status full;
  while (full.ok() && file->next() < 4 * kMiB) {
    full = file->Append(
        sample_.Part(static_cast<std::size_t>(file->next()), 100'000), now_);
  }
  EXPECT_EQ(DetailOf(full)->reason, "DISK_FULL") << full;
  ASSERT_TRUE(file->Flush().ok());
  EXPECT_GE(file->committed(), kMiB);
  EXPECT_EQ(file->next(), file->committed());
  ExpectBytesOf(Resumed());
  failing.no_room = false;
  AppendTo(*file, 4 * kMiB, 100'000);
  ExpectBytesOf(Resumed());
}

// After it, the kernel calls pages clean that never reached the disk.
TEST_P(UploadFileTest, AFailedSyncLeavesNoClaim) {
  FailingFiles failing;
  UploadFile::Place place = Place();
  place.files = &failing;
  auto file = UploadFile::Create(place);
  ASSERT_TRUE(file.ok());
  AppendTo(*file, 2 * kMiB, kMiB);
  failing.sync_fails = true;
  EXPECT_EQ(file->Sync().code(), absl::StatusCode::kInternal);
  EXPECT_EQ(file->committed(), 0);
  EXPECT_EQ(Resumed().committed(), 0);
  failing.sync_fails = false;
  AppendTo(*file, 4 * kMiB, kMiB);
  EXPECT_TRUE(file->Sync().ok());
  ExpectBytesOf(Resumed());
}

INSTANTIATE_TEST_SUITE_P(SmallAndLarge, UploadFileTest, testing::Bool());

}  // namespace
}  // namespace steelyard::server
