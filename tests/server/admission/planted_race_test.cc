// The thread sanitizer sees races in our own threads although gRPC and TBB are
// not instrumented: two planted ones must be reported. Only in its own build.
#if defined(__SANITIZE_THREAD__)

#include <atomic>
#include <chrono>
#include <thread>

#include "gtest/gtest.h"
#include "server/admission/gate.h"
#include "server/request/request_context.h"
#include "steelyard/workers.h"

namespace steelyard::server {
namespace {

constexpr char kReport[] = "WARNING: ThreadSanitizer: data race";

// Two threads meet here; relaxed, so that the meeting orders nothing. The one
// that came last goes on last: TSan may miss two accesses at the very same time.
void Meet(std::atomic<int>& arrived) {
  const bool last = arrived.fetch_add(1, std::memory_order_relaxed) == 1;
  while (arrived.load(std::memory_order_relaxed) < 2) {
    std::this_thread::yield();
  }
  if (last) std::this_thread::sleep_for(std::chrono::milliseconds(50));
}

// Two bodies of one loop write one number.
[[noreturn]] void RaceInABody() {
  const Workers workers(2);
  std::atomic<int> arrived{0};
  int number = 0;
  workers.ParallelFor(2, {}, [&](Index) {
    Meet(arrived);
    ++number;
  });
  std::exit(number == 0 ? 1 : 0);
}

// Admitted work writes a number that the waiting handler writes too.
[[noreturn]] void RaceInAHandler() {
  const Workers workers(2);
  Gate gate(workers, {.memory_budget = 100, .queue_length = 1});
  RequestContext context(
      {.method = "/test", .request_id = "1", .deadline = {}, .cancelled = {}});
  auto ticket = gate.Enter({.cost = {.flops = 1.0, .bytes = 1.0}}, context);
  std::atomic<int> arrived{0};
  int number = 0;
  const auto look = [&] {
    if (arrived.load(std::memory_order_relaxed) == 1) {
      Meet(arrived);
      ++number;
    }
    return true;
  };
  const auto work = [&](const ComputeContext&) -> absl::StatusOr<int> {
    Meet(arrived);
    return ++number;
  };
  const auto result = ticket->Compute(context, work, {.look = look});
  std::exit(result.ok() ? 0 : 1);
}

class PlantedRaceTest : public testing::Test {
 protected:
  // The planted code runs in a process of its own.
  PlantedRaceTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(PlantedRaceTest, InABodyIsReported) {
  EXPECT_DEATH(RaceInABody(), kReport);
}

TEST_F(PlantedRaceTest, InAHandlerIsReported) {
  EXPECT_DEATH(RaceInAHandler(), kReport);
}

}  // namespace
}  // namespace steelyard::server

#endif  // __SANITIZE_THREAD__
