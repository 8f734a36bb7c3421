#include "client/tensor_files/input_file.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/client/tensor_files/scratch_file.h"

namespace steelyard::tensor_files {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string MessageOf(const absl::Status& status) {
  return std::string(status.message());
}

TEST(InputFileTest, ReadsByPositionAndNotBeyondTheEnd) {
  const test::ScratchFile scratch(".npy", "abcdef");
  const auto file = InputFile::Open(scratch.path());
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->size(), 6);
  std::string middle(3, '?');
  EXPECT_TRUE(file->Read(2, 3, middle.data()).ok());
  EXPECT_EQ(middle, "cde");
  const absl::Status beyond = file->Read(4, 3, middle.data());
  EXPECT_EQ(beyond.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(MessageOf(beyond),
              HasSubstr("ends at byte 6, 1 bytes too early"));
}

TEST(InputFileTest, AFileThatShrinksIsAnErrorAndNoSignal) {
  const test::ScratchFile scratch(".npy", std::string(10000, 'x'));
  const auto file = InputFile::Open(scratch.path());
  ASSERT_TRUE(file.ok()) << file.status();
  std::filesystem::resize_file(scratch.path(), 100);
  std::string all(10000, '?');
  EXPECT_EQ(file->Read(0, 10000, all.data()).code(),
            absl::StatusCode::kDataLoss);
}

TEST(InputFileTest, WhatIsNoRegularFileIsRefusedByName) {
  const auto missing = InputFile::Open("/nowhere/keys.npy");
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(MessageOf(missing.status()), StartsWith("/nowhere/keys.npy: "));
  const auto folder = InputFile::Open("/");
  EXPECT_THAT(MessageOf(folder.status()), HasSubstr("not a regular file"));
  const auto device = InputFile::Open("/dev/zero");
  EXPECT_THAT(MessageOf(device.status()), HasSubstr("not a regular file"));
}

TEST(InputFileTest, TextFromAFileIsEscapedAndCut) {
  EXPECT_EQ(Printable("a\x1b[31m\n"), "a\\x1b[31m\\n");
  EXPECT_EQ(Printable(std::string(100, 'a')).size(), 63u);
}

}  // namespace
}  // namespace steelyard::tensor_files
