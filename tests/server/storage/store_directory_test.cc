#include "server/storage/store_directory.h"

#include <filesystem>
#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/storage/store_fixture.h"

namespace steelyard::server {
namespace {

using testing::HasSubstr;
using testing::UnorderedElementsAre;

class StoreDirectoryTest : public testing::Test {
 protected:
  void Touch(const std::string& name) {
    std::ofstream(temporary_.path() + "/" + name) << "x";
  }
  FileSystem files_;
  const TemporaryDirectory temporary_;
};

TEST_F(StoreDirectoryTest, MakesItsFoldersOnce) {
  const std::string path = temporary_.path() + "/new";
  for (int round = 0; round < 2; ++round) {
    const auto directory = StoreDirectory::Open(files_, path);
    ASSERT_TRUE(directory.ok()) << directory.status();
    EXPECT_TRUE(std::filesystem::is_directory(path + "/uploads"));
    EXPECT_TRUE(std::filesystem::is_directory(path + "/matrices"));
    EXPECT_EQ(directory->PathOf("matrices/a-1.bin"),
              path + "/matrices/a-1.bin");
  }
}

TEST_F(StoreDirectoryTest, OneProcessHasIt) {
  auto directory = StoreDirectory::Open(files_, temporary_.path());
  ASSERT_TRUE(directory.ok());
  const absl::Status second =
      StoreDirectory::Open(files_, temporary_.path()).status();
  EXPECT_EQ(second.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.message()), HasSubstr("another process"));
  directory = absl::CancelledError();
  EXPECT_TRUE(StoreDirectory::Open(files_, temporary_.path()).ok());
}

TEST_F(StoreDirectoryTest, WhatCannotBeADirectoryIsRefused) {
  Touch("file");
  for (const char* name : {"/file", "/none/below"}) {
    const absl::Status status =
        StoreDirectory::Open(files_, temporary_.path() + name).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << name;
    EXPECT_THAT(std::string(status.message()), HasSubstr(temporary_.path()));
  }
}

TEST_F(StoreDirectoryTest, NamesAreTakenApartAsTheyAreMade) {
  const FileNames names = FileNamesOf("a-7-b", 12);
  EXPECT_EQ(names.part, "uploads/a-7-b-12.part");
  EXPECT_EQ(names.marks, "uploads/a-7-b-12.marks");
  EXPECT_EQ(names.matrix, "matrices/a-7-b-12.bin");
  const auto directory = StoreDirectory::Open(files_, temporary_.path());
  ASSERT_TRUE(directory.ok());
  for (const std::string& each : {names.part, names.marks, names.matrix}) {
    Touch(each);
  }
  // Somebody else's.
  for (const char* other : {"uploads/notes.txt", "matrices/a-1.part.old",
                            "matrices/README", "uploads/A-1.part"}) {
    Touch(other);
  }
  const auto found = directory->Files();
  ASSERT_TRUE(found.ok()) << found.status();
  std::vector<std::string> paths;
  for (const FoundFile& file : *found) {
    paths.push_back(file.path);
    EXPECT_EQ(file.number, 12);
  }
  EXPECT_THAT(paths,
              UnorderedElementsAre(names.part, names.marks, names.matrix));
}

TEST_F(StoreDirectoryTest, TheReserveTakesRoomUntilItIsDropped) {
  const auto directory = StoreDirectory::Open(files_, temporary_.path());
  ASSERT_TRUE(directory.ok());
  const std::string path = temporary_.path() + "/reserve";
  directory->MakeReserve(files_);
  EXPECT_TRUE(std::filesystem::exists(path));
  directory->DropReserve(files_);
  EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace steelyard::server
