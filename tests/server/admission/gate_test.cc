#include "server/admission/gate.h"

#include <atomic>
#include <chrono>
#include <cmath>
#include <future>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/errors/errors.h"
#include "steelyard/status.h"

namespace steelyard::server {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

constexpr Demand kSmall{.cost = {.flops = 1e3, .bytes = 10.0}};
constexpr Demand kLarge{.cost = {.flops = 1e10, .bytes = 10.0}};

std::string ReasonOf(const absl::Status& status) {
  const auto detail = DetailOf(status);
  return detail.has_value() ? detail->reason : "";
}

// A call without a network.
RequestContext::Call CallWith(
    std::optional<RequestContext::Clock::time_point> deadline = {},
    std::function<bool()> cancelled = {}) {
  return {.method = "/test",
          .request_id = "1",
          .deadline = deadline,
          .cancelled = std::move(cancelled)};
}

// Work that runs until it is let go or asked to stop. Shared with the work,
// which may outlive the test's body.
struct Hold {
  std::promise<void> started;
  std::atomic<bool> released{false};
  std::atomic<bool> ended{false};

  static auto Work(const std::shared_ptr<Hold>& hold, bool stubborn = false) {
    return [hold, stubborn](const ComputeContext& c) -> absl::StatusOr<int> {
      hold->started.set_value();
      while (!hold->released && (stubborn || !c.stop.stop_requested())) {
        std::this_thread::yield();
      }
      hold->ended = true;
      const absl::Status stopped = StopStatus(c.stop);
      if (!stopped.ok()) return stopped;
      return static_cast<int>(c.stop.reason());
    };
  }
};

// A request that computes on a thread of its own until it is let go.
class HeldRequest {
 public:
  HeldRequest(Gate& gate, const Demand& demand, bool stubborn = false)
      : context_(CallWith({}, [this] { return cancelled_.load(); })) {
    auto ticket = gate.Enter(demand, context_);
    admitted_ = ticket.status();
    if (!ticket.ok()) return;
    result_ = std::async(
        std::launch::async,
        [this, stubborn, entered = *std::move(ticket)]() mutable {
          return entered.Compute(context_, Hold::Work(hold_, stubborn));
        });
  }

  const absl::Status& admitted() const { return admitted_; }
  void WaitUntilComputing() { hold_->started.get_future().wait(); }
  void LetGo() { hold_->released = true; }
  void Cancel() { cancelled_ = true; }
  absl::StatusOr<int> Result() { return result_.get(); }
  const std::shared_ptr<Hold>& hold() const { return hold_; }

 private:
  std::atomic<bool> cancelled_{false};
  const std::shared_ptr<Hold> hold_ = std::make_shared<Hold>();
  RequestContext context_;
  absl::Status admitted_;
  std::future<absl::StatusOr<int>> result_;
};

class GateTest : public testing::Test {
 protected:
  const Workers workers_{2};
  Gate gate_{workers_, {.memory_budget = 100, .queue_length = 1}};
};

// Nobody holds the place but the work, however late its caller hears of it.
TEST_F(GateTest, WorkThatIsLeftTakesPlaceAndMemoryWithIt) {
  RequestContext context(CallWith());
  auto ticket = gate_.Enter(kLarge, context);
  ASSERT_TRUE(ticket.ok()) << ticket.status();
  // Ends when its caller is busy elsewhere.
  std::atomic<bool> busy{false};
  const auto answer =
      (*std::move(ticket))
          .ComputeAndLeave(context,
                           [&](const ComputeContext&) -> absl::StatusOr<int> {
                             while (!busy) std::this_thread::yield();
                             return 42;
                           },
                           {.progress = {}, .look = [&] {
                              busy = true;
                              while (gate_.memory().reserved() != 0) {
                                std::this_thread::yield();
                              }
                              return true;
                            }});
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(*answer, 42);
  EXPECT_TRUE(busy);
  EXPECT_EQ(gate_.memory().reserved(), 0);
}

TEST_F(GateTest, ReturnsWhatTheWorkReturnsAndGivesTheMemoryBack) {
  RequestContext context(CallWith());
  {
    auto ticket = gate_.Enter(kSmall, context);
    ASSERT_TRUE(ticket.ok()) << ticket.status();
    EXPECT_EQ(gate_.memory().reserved(), 10);
    const auto answer = ticket->Compute(
        context,
        [](const ComputeContext&) -> absl::StatusOr<int> { return 42; });
    ASSERT_TRUE(answer.ok());
    EXPECT_EQ(*answer, 42);
    EXPECT_GT(context.timing().compute.count(), 0);
    EXPECT_GT(context.timing().queue.count(), 0);
  }
  EXPECT_EQ(gate_.memory().reserved(), 0);
}

TEST_F(GateTest, WhatCameOfTheWorkKeepsItsMemoryAndLeavesTheLane) {
  RequestContext context(CallWith());
  std::vector<MemoryReservation> kept;
  // More than places: a ticket that stayed would fill the queue.
  for (int i = 0; i < 8; ++i) {
    auto ticket = gate_.Enter(kSmall, context);
    ASSERT_TRUE(ticket.ok()) << ticket.status();
    const auto answer = ticket->Compute(
        context,
        [](const ComputeContext&) -> absl::StatusOr<int> { return 1; });
    ASSERT_TRUE(answer.ok());
    // Never more than was reserved.
    kept.push_back(std::move(*ticket).Keep(i == 0 ? 1e18 : 3.0));
    EXPECT_EQ(gate_.memory().reserved(), 10 + 3 * i);
  }
  kept.clear();
  EXPECT_EQ(gate_.memory().reserved(), 0);
}

TEST_F(GateTest, MemoryWithoutWorkIsRefusedAsThatOfWork) {
  {
    const auto held = gate_.Reserve(90.5);
    ASSERT_TRUE(held.ok()) << held.status();
    EXPECT_EQ(gate_.memory().reserved(), 91);
    const absl::Status taken = gate_.Reserve(10.0).status();
    EXPECT_EQ(ReasonOf(taken), "MEMORY_BUDGET");
    EXPECT_TRUE(RetryDelayOf(taken).has_value());
  }
  const absl::Status large = gate_.Reserve(101.0).status();
  EXPECT_EQ(ReasonOf(large), "LIMIT_EXCEEDED");
  EXPECT_FALSE(RetryDelayOf(large).has_value());
  gate_.StopAdmitting();
  EXPECT_EQ(ReasonOf(gate_.Reserve(1.0).status()), "DRAINING");
}

TEST_F(GateTest, WorkNeverRunsOnTheWaitingThread) {
  RequestContext context(CallWith());
  for (const Demand& demand : {kSmall, kLarge}) {
    auto ticket = gate_.Enter(demand, context);
    ASSERT_TRUE(ticket.ok());
    const auto where = ticket->Compute(
        context, [](const ComputeContext&) -> absl::StatusOr<std::thread::id> {
          return std::this_thread::get_id();
        });
    ASSERT_TRUE(where.ok());
    EXPECT_NE(*where, std::this_thread::get_id());
  }
}

TEST_F(GateTest, LargeWorkHasAllWorkersAndSmallWorkOne) {
  RequestContext context(CallWith());
  const auto workers_for = [&](const Demand& demand) {
    auto ticket = gate_.Enter(demand, context);
    EXPECT_TRUE(ticket.ok());
    return *ticket->Compute(context,
                            [](const ComputeContext& c) -> absl::StatusOr<int> {
                              return c.workers.count();
                            });
  };
  EXPECT_EQ(workers_for(kLarge), 2);
  EXPECT_EQ(workers_for(kSmall), 1);
}

TEST_F(GateTest, SmallWorkRunsBesideLargeWork) {
  HeldRequest large(gate_, kLarge);
  large.WaitUntilComputing();
  RequestContext context(CallWith());
  auto ticket = gate_.Enter(kSmall, context);
  ASSERT_TRUE(ticket.ok()) << ticket.status();
  EXPECT_TRUE(ticket
                  ->Compute(context,
                            [](const ComputeContext&) -> absl::StatusOr<int> {
                              return 1;
                            })
                  .ok());
  EXPECT_FALSE(large.hold()->ended);
  large.LetGo();
  EXPECT_TRUE(large.Result().ok());
}

TEST_F(GateTest, AFullQueueRefusesWithARetryDelay) {
  HeldRequest running(gate_, kLarge);
  running.WaitUntilComputing();
  HeldRequest waiting(gate_, kLarge);
  ASSERT_TRUE(waiting.admitted().ok());
  const HeldRequest refused(gate_, kLarge);
  EXPECT_EQ(refused.admitted().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(refused.admitted()), "QUEUE_FULL");
  EXPECT_TRUE(RetryDelayOf(refused.admitted()).has_value());
  running.LetGo();
  waiting.LetGo();
  EXPECT_TRUE(running.Result().ok());
  EXPECT_TRUE(waiting.Result().ok());
  EXPECT_EQ(gate_.memory().reserved(), 0);
}

TEST_F(GateTest, MemoryThatIsTakenNowIsWorthARetry) {
  HeldRequest running(gate_, {.cost = {.flops = 1.0, .bytes = 95.5}});
  EXPECT_EQ(gate_.memory().reserved(), 96);
  RequestContext context(CallWith());
  const auto refused = gate_.Enter(kSmall, context);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(refused.status()), "MEMORY_BUDGET");
  EXPECT_TRUE(RetryDelayOf(refused.status()).has_value());
  running.LetGo();
  EXPECT_TRUE(running.Result().ok());
  EXPECT_TRUE(gate_.Enter(kSmall, context).ok());
}

TEST_F(GateTest, MoreThanTheBudgetIsNotWorthARetry) {
  RequestContext context(CallWith());
  for (const double bytes : {101.0, 1e300, std::nan("")}) {
    const auto refused =
        gate_.Enter({.cost = {.flops = 1.0, .bytes = bytes}}, context);
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(ReasonOf(refused.status()), "LIMIT_EXCEEDED");
    EXPECT_FALSE(RetryDelayOf(refused.status()).has_value());
  }
}

TEST_F(GateTest, WorkThatCannotMeetItsDeadlineIsRefusedAtOnce) {
  RequestContext context(
      CallWith(RequestContext::Clock::now() + milliseconds(500)));
  // 1e14 flops take two workers longer than half a second on any processor.
  const auto refused = gate_.Enter(
      {.cost = {.flops = 1e14, .bytes = 1.0}, .least_flops = 1e14}, context);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(ReasonOf(refused.status()), "DEADLINE_TOO_SHORT");
  EXPECT_EQ(DetailOf(refused.status())->metadata.count("estimated_seconds"),
            1u);
}

TEST_F(GateTest, CostAloneRefusesNoDeadline) {
  RequestContext context(
      CallWith(RequestContext::Clock::now() + std::chrono::seconds(100)));
  // A million iterations at most, though three may do.
  EXPECT_TRUE(
      gate_
          .Enter({.cost = {.flops = 1e20, .bytes = 1.0}, .least_flops = 1e6},
                 context)
          .ok());
}

TEST_F(GateTest, ATimeLimitBoundsTheEstimate) {
  RequestContext context(CallWith(RequestContext::Clock::now() + hours(1)));
  context.set_time_limit(milliseconds(1));
  EXPECT_TRUE(
      gate_
          .Enter({.cost = {.flops = 1e300, .bytes = 1.0}, .least_flops = 1e300},
                 context)
          .ok());
}

TEST_F(GateTest, TheDeadlineCountsTheQueue) {
  HeldRequest running(gate_, kLarge);
  running.WaitUntilComputing();
  RequestContext context(
      CallWith(RequestContext::Clock::now() + milliseconds(50)));
  auto ticket = gate_.Enter(kLarge, context);
  ASSERT_TRUE(ticket.ok());
  std::atomic<bool> began{false};
  const auto late = ticket->Compute(
      context, [&](const ComputeContext&) -> absl::StatusOr<int> {
        began = true;
        return 1;
      });
  EXPECT_EQ(late.status().code(), absl::StatusCode::kDeadlineExceeded);
  running.LetGo();
  EXPECT_TRUE(running.Result().ok());
  EXPECT_FALSE(began);
}

TEST_F(GateTest, ACancelEndsTheCallAndStopsTheWork) {
  HeldRequest running(gate_, kLarge);
  running.WaitUntilComputing();
  running.Cancel();
  EXPECT_EQ(running.Result().status().code(), absl::StatusCode::kCancelled);
  while (!running.hold()->ended) std::this_thread::yield();
}

TEST_F(GateTest, AbandonedWorkKeepsItsMemoryAndDoesNotHoldUpTheLane) {
  HeldRequest stubborn(gate_, kLarge, /*stubborn=*/true);
  stubborn.WaitUntilComputing();
  stubborn.Cancel();
  EXPECT_EQ(stubborn.Result().status().code(), absl::StatusCode::kCancelled);
  EXPECT_FALSE(stubborn.hold()->ended);
  EXPECT_EQ(gate_.memory().reserved(), 10);

  HeldRequest next(gate_, kLarge);
  next.WaitUntilComputing();
  EXPECT_EQ(gate_.memory().reserved(), 20);
  next.LetGo();
  EXPECT_TRUE(next.Result().ok());

  stubborn.LetGo();
  while (gate_.memory().reserved() != 0) std::this_thread::yield();
  while (gate_.running() != 0) std::this_thread::yield();
}

TEST_F(GateTest, ACancelInTheQueueLeavesAtOnce) {
  HeldRequest running(gate_, kLarge);
  running.WaitUntilComputing();
  HeldRequest waiting(gate_, kLarge);
  EXPECT_EQ(gate_.memory().reserved(), 20);
  waiting.Cancel();
  EXPECT_EQ(waiting.Result().status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(gate_.memory().reserved(), 10);
  running.LetGo();
  EXPECT_TRUE(running.Result().ok());
}

TEST_F(GateTest, ABrokenStreamCancels) {
  RequestContext context(CallWith());
  auto ticket = gate_.Enter(kLarge, context);
  ASSERT_TRUE(ticket.ok());
  const auto hold = std::make_shared<Hold>();
  const auto result = ticket->Compute(context, Hold::Work(hold),
                                      {.look = [] { return false; }});
  EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled);
}

TEST_F(GateTest, ATimeLimitStopsTheWorkWhichThenAnswers) {
  RequestContext context(CallWith());
  context.set_time_limit(milliseconds(5));
  auto ticket = gate_.Enter(kLarge, context);
  ASSERT_TRUE(ticket.ok());
  const auto hold = std::make_shared<Hold>();
  const auto reason = ticket->Compute(context, Hold::Work(hold));
  ASSERT_TRUE(reason.ok()) << reason.status();
  EXPECT_EQ(*reason, static_cast<int>(StopReason::kTimeLimit));
}

TEST_F(GateTest, WhatTheWorkThrowsArrivesAtTheCaller) {
  RequestContext context(CallWith());
  {
    auto ticket = gate_.Enter(kSmall, context);
    ASSERT_TRUE(ticket.ok());
    const auto starve = [](const ComputeContext&) -> absl::StatusOr<int> {
      throw std::bad_alloc();
    };
    EXPECT_THROW((void)ticket->Compute(context, starve), std::bad_alloc);
  }
  EXPECT_EQ(gate_.memory().reserved(), 0);
}

TEST_F(GateTest, ADrainRefusesNewWorkAndLetsTheRestEnd) {
  HeldRequest running(gate_, kLarge);
  running.WaitUntilComputing();
  gate_.StopAdmitting();
  const HeldRequest refused(gate_, kSmall);
  EXPECT_EQ(refused.admitted().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReasonOf(refused.admitted()), "DRAINING");
  running.LetGo();
  EXPECT_TRUE(running.Result().ok());
}

TEST_F(GateTest, AnInterruptAsksForTheBestAnswerAndRefusesWhatWaits) {
  HeldRequest running(gate_, kLarge);
  running.WaitUntilComputing();
  HeldRequest waiting(gate_, kLarge);
  gate_.Interrupt();
  const auto reason = running.Result();
  ASSERT_TRUE(reason.ok()) << reason.status();
  EXPECT_EQ(*reason, static_cast<int>(StopReason::kDraining));
  // The one that waited may have begun just before the interrupt.
  const auto second = waiting.Result();
  EXPECT_TRUE(second.ok() || ReasonOf(second.status()) == "DRAINING")
      << second.status();
}

TEST_F(GateTest, WorkWithoutABestAnswerIsUnavailableAfterAnInterrupt) {
  RequestContext context(CallWith());
  auto ticket = gate_.Enter(kLarge, context);
  ASSERT_TRUE(ticket.ok());
  const auto result = ticket->Compute(
      context, [this](const ComputeContext&) -> absl::StatusOr<int> {
        gate_.Interrupt();
        return absl::AbortedError("stopped before there was an answer");
      });
  EXPECT_EQ(result.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReasonOf(result.status()), "DRAINING");
}

TEST_F(GateTest, AStepOfAStreamWaitsButIsNotRefused) {
  constexpr Demand kStep{.cost = {.flops = 1e3, .bytes = 1.0},
                         .of_stream = true};
  // Nobody else is there: a small step has all workers.
  RequestContext alone(CallWith());
  auto ticket = gate_.Enter(kStep, alone);
  ASSERT_TRUE(ticket.ok());
  const auto workers = ticket->Compute(
      alone, [](const ComputeContext& compute) -> absl::StatusOr<int> {
        return compute.workers.count();
      });
  EXPECT_EQ(*workers, 2);
  ticket = absl::CancelledError();

  // Both lanes and the queue are full, and a drain has begun.
  HeldRequest large(gate_, kLarge);
  HeldRequest small(gate_, kSmall);
  HeldRequest other(gate_, kSmall);
  HeldRequest queued(gate_, kSmall);
  ASSERT_TRUE(queued.admitted().ok()) << queued.admitted();
  EXPECT_EQ(ReasonOf(HeldRequest(gate_, kSmall).admitted()), "QUEUE_FULL");
  gate_.StopAdmitting();
  EXPECT_TRUE(gate_.draining());
  HeldRequest step(gate_, kStep);
  EXPECT_TRUE(step.admitted().ok()) << step.admitted();
  // Who came first to a lane is not known: all go before one is waited for.
  for (HeldRequest* held : {&large, &small, &other, &queued, &step}) {
    held->LetGo();
  }
  for (HeldRequest* held : {&large, &small, &other, &queued, &step}) {
    EXPECT_TRUE(held->Result().ok());
  }
  gate_.Interrupt();
  EXPECT_TRUE(gate_.interrupted());
  EXPECT_EQ(ReasonOf(HeldRequest(gate_, kStep).admitted()), "DRAINING");
}

}  // namespace
}  // namespace steelyard::server
