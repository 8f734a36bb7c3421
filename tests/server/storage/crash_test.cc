// kill -9 before and within every call that changes a file, SQLite's too: what
// was acknowledged is there, nothing that is seen is half, nothing leaks.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <new>
#include <set>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/storage/matrix_life.h"
#include "tests/server/storage/step_files.h"
#include "tests/server/storage/store_fixture.h"

namespace steelyard::server {
namespace {

// The life has about 200 steps.
constexpr int kStepsMax = 2000;

// Memory that a child leaves to us when it is killed.
class SharedProgress {
 public:
  SharedProgress()
      : memory_(mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
    EXPECT_NE(memory_, MAP_FAILED);
    new (memory_) Progress;
  }
  ~SharedProgress() { munmap(memory_, sizeof(Progress)); }
  SharedProgress(const SharedProgress&) = delete;
  SharedProgress& operator=(const SharedProgress&) = delete;
  Progress& operator*() { return *static_cast<Progress*>(memory_); }

 private:
  void* const memory_;
};

enum class End { kKilled, kDone, kFailed };

// Runs `work` in a child. No expiry, so no thread: after a fork there must be
// none under the thread sanitizer.
End InChild(const std::function<bool()>& work) {
  const pid_t child = fork();
  if (child == 0) _exit(work() ? 0 : 1);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) return End::kKilled;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? End::kDone
                                                       : End::kFailed;
}

// Ends the process at the given step.
StepFiles::Hook KillAt(int step) {
  return [left = step](std::string_view) mutable {
    if (--left == 0) raise(SIGKILL);
    return 0;
  };
}

bool NeverAgain(const absl::Status& status) {
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return false;
}

// Whether uploads are written while the next bytes come.
class CrashTest : public testing::TestWithParam<bool> {
 protected:
  // Small enough that the large samples are mapped, the small ones read.
  MatrixStore::Settings SettingsOf(const TemporaryDirectory& directory,
                                   FileSystem* files) const {
    return {.directory = directory.path(),
            .matrix_memory = 100'000,
            .behind_from = GetParam() ? 0 : UploadFile::kBehindFrom,
            .files = files};
  }

  End LiveUntil(const TemporaryDirectory& directory, Progress& progress,
                int step) {
    return InChild([&] {
      StepFiles files(KillAt(step));
      return life_.Run(SettingsOf(directory, &files), progress, NeverAgain);
    });
  }

  End RecoverUntil(const TemporaryDirectory& directory, int step) {
    return InChild([&] {
      StepFiles files(KillAt(step));
      return MatrixStore::Open(SettingsOf(directory, &files)).ok();
    });
  }

  // No file that nobody asked for.
  void ExpectNoLeaks(const TemporaryDirectory& directory, MatrixStore& store) {
    std::set<std::string> expected;
    std::set<std::string> found;
    for (const char* id : {"a", "b", "c", "d"}) {
      const auto state = store.StateOf(id);
      if (!state.ok()) continue;
      if (state->complete) {
        expected.insert(std::string("matrices/") + id);
      } else {
        expected.insert(std::string("uploads/") + id);
      }
    }
    for (const char* folder : {"uploads", "matrices"}) {
      for (const auto& each : std::filesystem::directory_iterator(
               directory.path() + "/" + folder)) {
        const std::string name = each.path().filename().string();
        const bool kept =
            found.insert(std::string(folder) + "/" + name.substr(0, 1)).second;
        EXPECT_TRUE(kept || name.ends_with(".part") || name.ends_with(".marks"))
            << name;
      }
    }
    EXPECT_EQ(found, expected);
  }

  void CheckAll(const TemporaryDirectory& directory, const Progress& progress) {
    auto store = MatrixStore::Open(SettingsOf(directory, nullptr));
    ASSERT_TRUE(store.ok()) << store.status();
    ExpectNoLeaks(directory, **store);
    life_.Check(**store, progress);
    ExpectNoLeaks(directory, **store);
  }

  const MatrixLife life_;
};

TEST_P(CrashTest, AtEveryStep) {
  int step = 1;
  for (; step < kStepsMax; ++step) {
    SCOPED_TRACE(step);
    const TemporaryDirectory directory(true);
    SharedProgress progress;
    const End end = LiveUntil(directory, *progress, step);
    ASSERT_NE(end, End::kFailed);
    CheckAll(directory, *progress);
    if (HasFailure() || end == End::kDone) break;
  }
  // Every part of the life has steps: this is no empty loop.
  EXPECT_GT(step, 100);
  EXPECT_LT(step, kStepsMax);
}

// A recovery is killed at each of its own steps, and the next one finds what
// the first one should have.
TEST_P(CrashTest, InTheRecoveryFromACrash) {
  int recoveries = 0;
  bool done = false;
  for (int step = 2; !done && step < kStepsMax; step += 9) {
    SCOPED_TRACE(step);
    const TemporaryDirectory directory(true);
    SharedProgress progress;
    done = LiveUntil(directory, *progress, step) == End::kDone;
    int within = 1;
    while (RecoverUntil(directory, within) == End::kKilled) ++within;
    recoveries += within;
    CheckAll(directory, *progress);
    if (HasFailure()) break;
  }
  EXPECT_GT(recoveries, 30);
  EXPECT_TRUE(done);
}

// At moments that nobody chose, within calls of the kernel, too.
TEST_P(CrashTest, AtAnyMoment) {
  constexpr int kRounds = 40;
  int killed = 0;
  for (int round = 0; round < kRounds; ++round) {
    SCOPED_TRACE(round);
    const TemporaryDirectory directory(true);
    SharedProgress progress;
    const pid_t child = fork();
    if (child == 0) {
      const auto settings = SettingsOf(directory, nullptr);
      _exit(life_.Run(settings, *progress, NeverAgain) ? 0 : 1);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(400 * round));
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status)) ++killed;
    CheckAll(directory, *progress);
    if (HasFailure()) break;
  }
  EXPECT_GT(killed, 3);
}

INSTANTIATE_TEST_SUITE_P(SmallAndLarge, CrashTest, testing::Bool());

}  // namespace
}  // namespace steelyard::server
