#include "client/tensor_files/replaced_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "tests/client/tensor_files/scratch_file.h"

namespace steelyard::tensor_files {
namespace {

absl::Status Write(const std::string& path, const std::string& a,
                   const std::string& b) {
  const absl::Span<const char> parts[] = {absl::MakeSpan(a), absl::MakeSpan(b)};
  return ReplaceFile(path, parts);
}

TEST(ReplacedFileTest, PartsFollowOneAnotherAndTheOldTextIsGone) {
  const test::ScratchFile file(".txt", "a much longer text before");
  ASSERT_TRUE(Write(file.path(), "one ", "two").ok());
  EXPECT_EQ(file.bytes(), "one two");
}

TEST(ReplacedFileTest, AFailureNamesThePathAndLeavesNothing) {
  const absl::Status status = Write("/no/such/folder/file", "a", "b");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              testing::StartsWith("/no/such/folder/file: cannot write"));
  EXPECT_FALSE(std::filesystem::exists("/no/such/folder"));
}

// Never a device of the system: root may replace those, too.
TEST(ReplacedFileTest, WhatIsNoFileStaysWhatItIs) {
  const test::ScratchFile path(".pipe");
  ASSERT_EQ(::mkfifo(path.path().c_str(), 0600), 0);
  const test::ScratchFile link(".link");
  std::filesystem::create_symlink(path.path(), link.path());
  for (const std::string& taken : {path.path(), link.path()}) {
    const absl::Status status = Write(taken, "a", "b");
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(status.message(), taken + ": cannot write: not a regular file");
  }
  EXPECT_FALSE(CheckWritable(path.path()).ok());
  EXPECT_TRUE(std::filesystem::is_fifo(path.path()));
  EXPECT_TRUE(std::filesystem::is_symlink(link.path()));
}

TEST(ReplacedFileTest, WhetherAFileCanBeWrittenIsKnownBefore) {
  const test::ScratchFile old(".txt", "as it was");
  EXPECT_TRUE(CheckWritable(old.path()).ok());
  EXPECT_EQ(old.bytes(), "as it was");
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() /
      ("steelyard-writable-" + std::to_string(::getpid()));
  std::filesystem::create_directory(folder);
  const std::string fresh = (folder / "x.npy").string();
  EXPECT_TRUE(CheckWritable(fresh).ok());
  EXPECT_TRUE(std::filesystem::is_empty(folder));
  for (const std::string& bad :
       {std::string("/no/such/folder/file"), folder.string(),
        (folder / "no" / "x.npy").string()}) {
    const absl::Status status = CheckWritable(bad);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_THAT(std::string(status.message()),
                testing::StartsWith(bad + ": cannot write"));
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace steelyard::tensor_files
