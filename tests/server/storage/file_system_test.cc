#include "server/storage/file_system.h"

#include <fcntl.h>

#include <cerrno>
#include <filesystem>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/status.h"
#include "tests/server/storage/store_fixture.h"

namespace steelyard::server {
namespace {

using testing::HasSubstr;

class FileSystemTest : public testing::Test {
 protected:
  std::string Path(const std::string& name) const {
    return directory_.path() + "/" + name;
  }
  OwnedFile New(const std::string& name) {
    const int file = files_.Open(Path(name), O_RDWR | O_CREAT);
    EXPECT_GE(file, 0);
    return OwnedFile(file);
  }
  FileSystem files_;
  const TemporaryDirectory directory_;
};

// Moves a few bytes a call, as a file system may.
class SlowFiles final : public FileSystem {
 public:
  std::int64_t Read(int file, void* data, std::int64_t size,
                    std::int64_t at) override {
    return FileSystem::Read(file, data, std::min<std::int64_t>(size, 3), at);
  }
  std::int64_t Write(int file, const void* data, std::int64_t size,
                     std::int64_t at) override {
    if (at >= room) return refusal;
    const std::int64_t count = std::min({size, std::int64_t{2}, room - at});
    return FileSystem::Write(file, data, count, at);
  }
  std::int64_t room = 1000;
  std::int64_t refusal = -ENOSPC;
};

TEST_F(FileSystemTest, BytesComeBack) {
  const OwnedFile file = New("a");
  SlowFiles slow;
  const std::string text = "a sentence of some length";
  const auto size = static_cast<std::int64_t>(text.size());
  ASSERT_EQ(WriteAll(slow, file.get(), text.data(), size, 7), 0);
  EXPECT_EQ(SizeOfFile(file.get()), size + 7);
  std::string back(text.size() + 9, '?');
  EXPECT_EQ(ReadAll(slow, file.get(), back.data(), size + 9, 7), size);
  EXPECT_EQ(back.substr(0, text.size()), text);
  EXPECT_EQ(files_.Truncate(file.get(), 10), 0);
  EXPECT_EQ(SizeOfFile(file.get()), 10);
  EXPECT_EQ(files_.Sync(file.get()), 0);
}

TEST_F(FileSystemTest, AFullDiskIsAnErrorWhetherItSaysSoOrNot) {
  const OwnedFile file = New("a");
  SlowFiles slow;
  slow.room = 5;
  EXPECT_EQ(WriteAll(slow, file.get(), "123456789", 9, 0), ENOSPC);
  slow.refusal = 0;
  EXPECT_EQ(WriteAll(slow, file.get(), "123456789", 9, 0), ENOSPC);
  slow.refusal = -EIO;
  EXPECT_EQ(WriteAll(slow, file.get(), "123456789", 9, 0), EIO);
}

TEST_F(FileSystemTest, RoomIsMadeWithoutAChangeOfSize) {
  const OwnedFile file = New("a");
  ASSERT_EQ(files_.Allocate(file.get(), 100'000), 0);
  EXPECT_EQ(SizeOfFile(file.get()), 0);
  // More than any disk has.
  EXPECT_LT(files_.Allocate(file.get(), std::int64_t{1} << 60), 0);
}

TEST_F(FileSystemTest, RoomIsThatOfTheDisk) {
  const OwnedFile file = New("a");
  const auto space = std::filesystem::space(directory_.path());
  EXPECT_GE(files_.Room(file.get()), 0);
  EXPECT_LE(files_.Room(file.get()), static_cast<std::int64_t>(space.capacity));
  EXPECT_EQ(files_.Room(-1), -EBADF);
}

TEST_F(FileSystemTest, NamesChange) {
  New("a");
  EXPECT_EQ(files_.Rename(Path("a"), Path("b")), 0);
  EXPECT_EQ(files_.Rename(Path("a"), Path("c")), -ENOENT);
  EXPECT_EQ(files_.SyncDirectory(directory_.path()), 0);
  EXPECT_EQ(files_.SyncDirectory(Path("none")), -ENOENT);
  EXPECT_EQ(files_.Remove(Path("b")), 0);
  EXPECT_EQ(files_.Remove(Path("b")), -ENOENT);
  EXPECT_EQ(files_.MakeDirectory(Path("d")), 0);
  EXPECT_EQ(files_.MakeDirectory(Path("d")), -EEXIST);
  EXPECT_EQ(files_.Open(Path("none"), O_RDONLY), -ENOENT);
}

TEST_F(FileSystemTest, ErrorsOfRoomAreDiskFull) {
  for (const int error : {ENOSPC, EDQUOT, EFBIG}) {
    const absl::Status full = FileError(error, "writing", "uploads/a-1.part");
    EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(DetailOf(full)->reason, "DISK_FULL");
    EXPECT_THAT(std::string(full.message()), HasSubstr("uploads/a-1.part"));
  }
  const absl::Status broken = FileError(EIO, "writing", "uploads/a-1.part");
  EXPECT_EQ(broken.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(broken.message()),
              HasSubstr("writing uploads/a-1.part failed"));
}

TEST_F(FileSystemTest, ADescriptorIsClosedOnce) {
  OwnedFile file = New("a");
  const int number = file.get();
  OwnedFile moved = std::move(file);
  EXPECT_EQ(moved.get(), number);
  EXPECT_TRUE(static_cast<bool>(moved));
  moved = OwnedFile();
  EXPECT_FALSE(static_cast<bool>(moved));
  EXPECT_EQ(fcntl(number, F_GETFD), -1);
}

}  // namespace
}  // namespace steelyard::server
