// A disk that is full, or fails, at any call: the caller is told, nothing is
// lost, and the same call succeeds when there is room again.
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/status.h"
#include "tests/server/storage/matrix_life.h"
#include "tests/server/storage/step_files.h"
#include "tests/server/storage/store_fixture.h"

namespace steelyard::server {
namespace {

constexpr int kStepsMax = 2000;

bool IsDiskFull(const absl::Status& status) {
  const auto detail = DetailOf(status);
  return status.code() == absl::StatusCode::kResourceExhausted &&
         detail.has_value() && detail->reason == "DISK_FULL";
}

// What needs room.
bool Writes(std::string_view step) {
  static const std::set<std::string_view> kWriting = {
      "create", "write", "half", "allocate", "mkdir", "sql-write"};
  return kWriting.count(step) > 0;
}

// Whether uploads are written while the next bytes come.
class DiskFullTest : public testing::TestWithParam<bool> {
 protected:
  MatrixStore::Settings SettingsOf(const TemporaryDirectory& directory,
                                   FileSystem* files) const {
    return {.directory = directory.path(),
            .matrix_memory = 100'000,
            .behind_from = GetParam() ? 0 : UploadFile::kBehindFrom,
            .files = files};
  }

  // After a life that came to its end.
  void CheckAll(const TemporaryDirectory& directory, const Progress& progress) {
    auto store = MatrixStore::Open(SettingsOf(directory, nullptr));
    ASSERT_TRUE(store.ok()) << store.status();
    std::set<std::string> names;
    for (const char* folder : {"uploads", "matrices"}) {
      for (const auto& each : std::filesystem::directory_iterator(
               directory.path() + "/" + folder)) {
        const std::string name = each.path().filename().string();
        EXPECT_TRUE(
            names.insert(folder + std::string("/") + name.substr(0, 1)).second)
            << name;
      }
    }
    EXPECT_THAT(names,
                testing::ElementsAre("matrices/a", "matrices/b", "matrices/c"));
    life_.Check(**store, progress);
  }

  const MatrixLife life_;
};

TEST_P(DiskFullTest, OnceAtEveryStep) {
  int failures = 0;
  bool reached = true;
  for (int step = 1; reached && step < kStepsMax; ++step) {
    const TemporaryDirectory directory(true);
    Progress progress;
    reached = false;
    std::string failed;
    {
      int left = step;
      StepFiles files([&](std::string_view name) {
        if (!Writes(name) || --left != 0) return 0;
        reached = true;
        failed = name;
        return ENOSPC;
      });
      int told = 0;
      EXPECT_TRUE(life_.Run(SettingsOf(directory, &files), progress,
                            [&](const absl::Status& status) {
                              EXPECT_TRUE(IsDiskFull(status)) << status;
                              return ++told < 3;
                            }));
      EXPECT_LE(told, 1);
      failures += told;
    }
    CheckAll(directory, progress);
    if (HasFailure()) {
      ADD_FAILURE() << "step " << step << ", " << failed;
      break;
    }
  }
  EXPECT_FALSE(reached);
  EXPECT_GT(failures, 30);
}

// Until somebody makes room, some refusals later.
TEST_P(DiskFullTest, ForAWhileFromEveryStepOn) {
  bool reached = true;
  for (int step = 1; reached && step < kStepsMax; ++step) {
    const TemporaryDirectory directory(true);
    Progress progress;
    reached = false;
    {
      int left = step;
      bool room = false;
      StepFiles files([&](std::string_view name) {
        if (!Writes(name) || --left > 0 || room) return 0;
        reached = true;
        return ENOSPC;
      });
      int told = 0;
      EXPECT_TRUE(life_.Run(SettingsOf(directory, &files), progress,
                            [&](const absl::Status&) {
                              room = ++told >= 2;
                              return told < 5;
                            }));
      EXPECT_LE(told, 2);
    }
    CheckAll(directory, progress);
    if (HasFailure()) {
      ADD_FAILURE() << "step " << step;
      break;
    }
  }
  EXPECT_FALSE(reached);
}

// Also of calls that need no room: fsync, rename, remove.
TEST_P(DiskFullTest, AFailureOfTheDiskIsNoLossEither) {
  bool reached = true;
  for (int step = 1; reached && step < kStepsMax; ++step) {
    const TemporaryDirectory directory(true);
    Progress progress;
    reached = false;
    std::string failed;
    {
      int left = step;
      StepFiles files([&](std::string_view name) {
        if (--left != 0) return 0;
        reached = true;
        failed = name;
        return EIO;
      });
      int told = 0;
      EXPECT_TRUE(life_.Run(SettingsOf(directory, &files), progress,
                            [&](const absl::Status& status) {
                              EXPECT_FALSE(IsDiskFull(status)) << status;
                              return ++told < 3;
                            }));
      EXPECT_LE(told, 1);
    }
    CheckAll(directory, progress);
    if (HasFailure()) {
      ADD_FAILURE() << "step " << step << ", " << failed;
      break;
    }
  }
  EXPECT_FALSE(reached);
}

INSTANTIATE_TEST_SUITE_P(SmallAndLarge, DiskFullTest, testing::Bool());

// A file system of `bytes`, mounted on `path` for this process alone; false:
// the machine does not let us.
bool MountSmall(const std::string& path, const std::string& bytes) {
  const bool alone =
      unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0;
  return alone &&
         mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         mount("none", path.c_str(), "tmpfs", 0, ("size=" + bytes).c_str()) ==
             0;
}

// What the child below finds wrong, as its exit code.
int LiveOnASmallDisk(const std::string& path) {
  if (!MountSmall(path, "1800k")) return 0;
  auto store = MatrixStore::Open(MatrixStore::Settings{.directory = path});
  if (!store.ok()) return 1;
  const Sample first("first", 10'000);  // 640 kB
  const Sample second("second", 10'000, 2);
  if (!Upload(**store, first).ok()) return 2;
  // Refused before a byte is sent.
  const Sample large("large", 40'000);
  if (!IsDiskFull(
          (*store)->Begin("large", large.layout, large.crc32c).status())) {
    return 3;
  }
  if ((*store)->StateOf("large").ok()) return 4;
  // Filled by somebody else, after the room was promised and to the last byte.
  {
    auto begun = (*store)->Begin("second", second.layout, second.crc32c);
    if (!begun.ok()) return 5;
    const int filler =
        open((path + "/filler").c_str(), O_WRONLY | O_CREAT, 0600);
    const std::string block(512, 'x');
    while (write(filler, block.data(), block.size()) > 0) continue;
    close(filler);
    if (!begun->upload->Append(second.All()).ok()) return 6;
  }
  // The reserve is what lets a deletion through.
  for (int round = 0; round < 20; ++round) {
    if (!(*store)->Delete("first").ok()) return 7;
    // Smaller, because the catalog's log has grown, too.
    if (!Upload(**store, Sample("first", 4'000)).ok()) return 8;
  }
  store = absl::CancelledError();
  // A start on a disk that is full again.
  const int filler = open((path + "/filler").c_str(), O_WRONLY | O_APPEND);
  const std::string block(512, 'x');
  while (write(filler, block.data(), block.size()) > 0) continue;
  close(filler);
  store = MatrixStore::Open(MatrixStore::Settings{.directory = path});
  if (!store.ok()) return 9;
  const auto state = (*store)->StateOf("second");
  if (!state.ok() || state->committed != state->total) return 10;
  if (!(*store)->Delete("first").ok()) return 11;
  return Upload(**store, second).ok() ? 0 : 12;
}

int InChild(const std::function<int()>& work) {
  const pid_t child = fork();
  if (child == 0) _exit(work());
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  return WEXITSTATUS(status);
}

// Where mounting is not allowed it sees nothing; the tests above need no mount.
TEST(SmallDiskTest, WhatWasPromisedIsKept) {
  const TemporaryDirectory directory;
  EXPECT_EQ(InChild([&] { return LiveOnASmallDisk(directory.path()); }), 0);
}

// The kernel's own limit of file sizes: writes are cut short, then refused.
TEST(SmallDiskTest, WithALimitOfFileSizes) {
  const TemporaryDirectory directory(true);
  const auto work = [&] {
    signal(SIGXFSZ, SIG_IGN);
    auto store =
        MatrixStore::Open(MatrixStore::Settings{.directory = directory.path()});
    if (!store.ok()) return 1;
    const Sample sample("a", 20'000);  // 1.28 MB
    auto begun = (*store)->Begin("a", sample.layout, sample.crc32c);
    if (!begun.ok()) return 2;
    rlimit limit{};
    getrlimit(RLIMIT_FSIZE, &limit);
    const rlim_t before = limit.rlim_cur;
    limit.rlim_cur = 1'000'000;
    setrlimit(RLIMIT_FSIZE, &limit);
    if (!begun->upload->Append(sample.Part(0, 900'000)).ok()) return 3;
    const absl::Status full =
        begun->upload->Append(sample.Part(900'000, 380'000));
    if (!IsDiskFull(full)) return 4;
    if (begun->upload->committed() != 900'000) return 5;
    limit.rlim_cur = before;
    setrlimit(RLIMIT_FSIZE, &limit);
    begun->upload = nullptr;
    return Upload(**store, sample).ok() ? 0 : 6;
  };
  EXPECT_EQ(InChild(work), 0);
}

}  // namespace
}  // namespace steelyard::server
