#include "server/factors/solve_groups.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <future>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/errors/errors.h"
#include "steelyard/status.h"
#include "tests/server/factors/held_math.h"

namespace steelyard::server {
namespace {

using std::chrono::milliseconds;
using test::HeldMath;
using testing::Contains;
using testing::ElementsAre;
using testing::Not;

constexpr Index kD = HeldMath::kD;
// Long enough for what must not happen to happen.
constexpr milliseconds kWhile{50};
// What one request reserves where the factor is not there: 10 + 1 and 2.
constexpr std::int64_t kBytes = 13;

std::string ReasonOf(const absl::Status& status) {
  const auto detail = DetailOf(status);
  return detail.has_value() ? detail->reason : "";
}

PowerRegressionOptions WithExponent(int exponent) {
  return {.family = PowerFamily::kLeftGramPower, .exponent = exponent};
}

struct Wish {
  double value = 1.0;  // of b; infinite: b cannot be opened
  Index columns = 1;
  PowerRegressionOptions options = WithExponent(1);
  std::uint64_t serial = 7;
  std::optional<milliseconds> deadline = std::nullopt;
  std::optional<milliseconds> time_limit = std::nullopt;
  double least_flops = 0.0;
};

absl::StatusOr<std::shared_ptr<const AnyMatrixView>> OpenB(const Wish& wish) {
  struct Owned {
    std::vector<double> b;
    AnyMatrixView view;
  };
  if (std::isinf(wish.value)) return absl::DataLossError("b is broken");
  std::vector<double> b(static_cast<std::size_t>(kD * wish.columns),
                        wish.value);
  const MatrixView<double> view(b.data(), kD, wish.columns);
  const auto owned =
      std::make_shared<Owned>(Owned{.b = std::move(b), .view = view});
  return std::shared_ptr<const AnyMatrixView>(owned, &owned->view);
}

SharedSolve RequestOf(const Wish& wish) {
  static const std::vector<double> numbers(kD, 1.0);
  return {.matrix = {.id = "m", .serial = wish.serial},
          .shape = {.n = 1, .d = kD, .k = wish.columns},
          .options = wish.options,
          .open_a =
              [](const ComputeContext&) {
                return std::make_shared<const DenseOrCsr>(
                    AnyMatrixView(MatrixView<double>(numbers.data(), 1, kD)));
              },
          .open_b = [wish](const ComputeContext&) { return OpenB(wish); },
          .other_bytes = 2.0,
          .least_flops = wish.least_flops};
}

// One call on a thread of its own.
class Call {
 public:
  Call(SolveGroups& groups, Gate& gate, const Wish& wish)
      : context_({.method = "/test",
                  .request_id = "1",
                  .deadline = DeadlineOf(wish),
                  .cancelled = [this] { return cancelled_.load(); }}) {
    context_.set_time_limit(wish.time_limit);
    result_ = std::async(std::launch::async, [this, &groups, &gate, wish] {
      return groups.Solve(gate, context_, RequestOf(wish),
                          {.progress = [heard = heard_](const auto& update) {
                            heard->Hear(update);
                          }});
    });
  }

  void Cancel() { cancelled_ = true; }
  absl::StatusOr<SharedAnswer> Result() { return result_.get(); }
  bool done() const {
    return result_.wait_for(milliseconds(0)) == std::future_status::ready;
  }
  std::vector<std::string> phases() const {
    const std::lock_guard lock(heard_->mutex);
    return heard_->phases;
  }
  double fraction() const {
    const std::lock_guard lock(heard_->mutex);
    return heard_->fraction;
  }
  void WaitForPhase(const std::string& phase) const {
    while (true) {
      const auto seen = phases();
      if (std::count(seen.begin(), seen.end(), phase) > 0) return;
      std::this_thread::yield();
    }
  }
  const RequestContext& context() const { return context_; }

 private:
  struct Heard {
    std::mutex mutex;
    std::vector<std::string> phases;
    double fraction = 0.0;
    void Hear(const ProgressUpdate& update) {
      const std::lock_guard lock(mutex);
      phases.emplace_back(update.phase);
      fraction = update.fraction.value_or(fraction);
    }
  };
  static std::optional<RequestContext::Clock::time_point> DeadlineOf(
      const Wish& wish) {
    if (!wish.deadline.has_value()) return std::nullopt;
    return RequestContext::Clock::now() + *wish.deadline;
  }

  std::atomic<bool> cancelled_{false};
  RequestContext context_;
  const std::shared_ptr<Heard> heard_ = std::make_shared<Heard>();
  std::future<absl::StatusOr<SharedAnswer>> result_;
};

class SolveGroupsTest : public testing::Test {
 protected:
  std::unique_ptr<Call> Begin(const Wish& wish) {
    return std::make_unique<Call>(groups_, gate_, wish);
  }
  // A call that joins a group that has begun: it has been admitted, and then
  // had the time for that.
  std::unique_ptr<Call> BeginAndJoin(const Wish& wish) {
    const std::int64_t before = gate_.memory().reserved();
    auto call = Begin(wish);
    while (gate_.memory().reserved() == before) std::this_thread::yield();
    std::this_thread::sleep_for(milliseconds(20));
    return call;
  }
  void WaitUntilIdle() const {
    while (gate_.running() != 0) std::this_thread::yield();
  }

  const Workers workers_{2};
  HeldMath math_;
  FactorCache cache_{1 << 20};
  SolveGroups groups_{cache_, 2, math_.Hooks()};
  Gate gate_{workers_, {.memory_budget = 2000, .queue_length = 100}};
};

void ExpectAnswer(Call& call, double value, bool hit) {
  const auto answer = call.Result();
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->solution.x(0, 0), value);
  EXPECT_EQ(answer->factor_cache_hit, hit);
}

TEST_F(SolveGroupsTest, TheSecondSolveComputesNoFactor) {
  const auto first = Begin({.value = 4.0});
  ExpectAnswer(*first, 4.0, false);
  EXPECT_GT(first->context().timing().compute.count(), 0);
  EXPECT_THAT(first->phases(), ElementsAre("queue", "factor", "iterate"));
  const auto second = Begin({.value = 5.0});
  ExpectAnswer(*second, 5.0, true);
  EXPECT_THAT(second->phases(), ElementsAre("queue", "iterate"));
  EXPECT_EQ(math_.prepares, 1);
  EXPECT_EQ(math_.solves, 2);
  WaitUntilIdle();
  EXPECT_EQ(gate_.memory().reserved(), 0);
}

TEST_F(SolveGroupsTest, FiftyAtOnceAreOneFactorAndOneBlock) {
  math_.prepare_door.Close();
  std::vector<std::unique_ptr<Call>> calls;
  for (int i = 0; i < 50; ++i) calls.push_back(Begin({.value = 1.0 + i}));
  while (gate_.memory().reserved() < 50 * kBytes) std::this_thread::yield();
  std::this_thread::sleep_for(kWhile);
  EXPECT_EQ(gate_.running(), 1);
  math_.prepare_door.Open();
  int computed = 0;
  for (int i = 0; i < 50; ++i) {
    const auto answer = calls[static_cast<std::size_t>(i)]->Result();
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(answer->solution.x(2, 0), 1.0 + i);
    if (!answer->factor_cache_hit) ++computed;
  }
  EXPECT_EQ(computed, 1);
  EXPECT_EQ(math_.prepares, 1);
  EXPECT_EQ(math_.largest_group, 50);
  EXPECT_EQ(math_.solves, 1);
}

TEST_F(SolveGroupsTest, WhoLeavesDisturbsNobody) {
  math_.prepare_door.Close();
  const auto founder = Begin({.value = 1.0});
  founder->WaitForPhase("factor");
  const auto second = BeginAndJoin({.value = 2.0});
  const auto third = BeginAndJoin({.value = 3.0});
  founder->Cancel();
  EXPECT_EQ(founder->Result().status().code(), absl::StatusCode::kCancelled);
  math_.solve_door.Close();
  math_.prepare_door.Open();
  second->WaitForPhase("iterate");
  third->Cancel();
  EXPECT_EQ(third->Result().status().code(), absl::StatusCode::kCancelled);
  EXPECT_FALSE(second->done());
  math_.solve_door.Open();
  ExpectAnswer(*second, 2.0, false);
  EXPECT_EQ(math_.prepares, 1);
  EXPECT_EQ(math_.solves, 1);
  WaitUntilIdle();
  EXPECT_EQ(gate_.memory().reserved(), 0);
}

TEST_F(SolveGroupsTest, TheWorkStopsWhenTheLastHasLeft) {
  math_.prepare_door.Close();
  const auto first = Begin({});
  first->WaitForPhase("factor");
  const auto second = BeginAndJoin({});
  first->Cancel();
  EXPECT_FALSE(first->Result().ok());
  std::this_thread::sleep_for(kWhile);
  EXPECT_EQ(gate_.running(), 1);
  second->Cancel();
  EXPECT_FALSE(second->Result().ok());
  WaitUntilIdle();
  EXPECT_EQ(gate_.memory().reserved(), 0);
  math_.prepare_door.Open();
  ExpectAnswer(*Begin({.value = 3.0}), 3.0, false);
  EXPECT_EQ(math_.prepares, 2);
}

TEST_F(SolveGroupsTest, OtherOptionsWaitForTheFactorWithoutALane) {
  math_.prepare_door.Close();
  const auto first = Begin({.value = 1.0});
  first->WaitForPhase("factor");
  const auto second = Begin({.value = 2.0, .options = WithExponent(2)});
  second->WaitForPhase("wait");
  EXPECT_THAT(second->phases(), Not(Contains("queue")));
  EXPECT_EQ(gate_.running(), 1);
  math_.prepare_door.Open();
  ExpectAnswer(*first, 1.0, false);
  ExpectAnswer(*second, 2.0, true);
  EXPECT_EQ(math_.prepares, 1);
  EXPECT_EQ(math_.solves, 2);
}

TEST_F(SolveGroupsTest, SmallWorkThatWaitsLeavesTheLaneToOthers) {
  math_.prepare_flops = 1e3;
  math_.prepare_door.Close();
  const auto first = Begin({});
  first->WaitForPhase("factor");
  const auto second = Begin({.options = WithExponent(2)});
  const auto third = Begin({.options = WithExponent(3)});
  second->WaitForPhase("wait");
  third->WaitForPhase("wait");
  // Two runners, one computes the factor: there is one for others.
  RequestContext context(
      {.method = "/test", .request_id = "2", .deadline = {}, .cancelled = {}});
  auto ticket = gate_.Enter({.cost = {.flops = 1.0}}, context);
  ASSERT_TRUE(ticket.ok());
  const auto answer = ticket->Compute(
      context, [](const ComputeContext&) -> absl::StatusOr<int> { return 5; });
  EXPECT_EQ(*answer, 5);
  math_.prepare_door.Open();
  ExpectAnswer(*first, 1.0, false);
  ExpectAnswer(*second, 1.0, true);
  ExpectAnswer(*third, 1.0, true);
}

TEST_F(SolveGroupsTest, TheNextInLineTakesOver) {
  math_.prepare_door.Close();
  const auto first = Begin({});
  first->WaitForPhase("factor");
  const auto second = Begin({.value = 2.0, .options = WithExponent(2)});
  second->WaitForPhase("wait");
  const auto third = Begin({.value = 3.0, .options = WithExponent(3)});
  third->WaitForPhase("wait");
  first->Cancel();
  EXPECT_FALSE(first->Result().ok());
  second->WaitForPhase("factor");
  math_.prepare_door.Open();
  ExpectAnswer(*second, 2.0, false);
  ExpectAnswer(*third, 3.0, true);
  EXPECT_EQ(math_.prepares, 2);
}

TEST_F(SolveGroupsTest, WhoWaitsInLineMayLeave) {
  math_.prepare_door.Close();
  const auto first = Begin({});
  first->WaitForPhase("factor");
  const auto second = Begin({.options = WithExponent(2)});
  second->WaitForPhase("wait");
  second->Cancel();
  EXPECT_EQ(second->Result().status().code(), absl::StatusCode::kCancelled);
  const auto late =
      Begin({.options = WithExponent(3), .deadline = milliseconds(60)});
  EXPECT_EQ(late->Result().status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(gate_.memory().reserved(), kBytes);
  math_.prepare_door.Open();
  ExpectAnswer(*first, 1.0, false);
}

TEST_F(SolveGroupsTest, AnErrorOfTheMatrixGoesToAll) {
  math_.prepare_door.Close();
  math_.error = absl::InvalidArgumentError("a");
  const auto first = Begin({});
  first->WaitForPhase("factor");
  const auto second = BeginAndJoin({});
  const auto third = Begin({.options = WithExponent(2)});
  third->WaitForPhase("wait");
  math_.prepare_door.Open();
  for (Call* const call : {first.get(), second.get(), third.get()}) {
    EXPECT_EQ(call->Result().status().code(),
              absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(math_.prepares, 1);
  EXPECT_EQ(math_.solves, 0);
}

TEST_F(SolveGroupsTest, ABadRightHandSideConcernsItsCallerAlone) {
  math_.prepare_door.Close();
  const auto good = Begin({.value = 1.0});
  good->WaitForPhase("factor");
  const auto nan = BeginAndJoin({.value = std::nan("")});
  const auto broken = BeginAndJoin({.value = INFINITY});
  math_.prepare_door.Open();
  ExpectAnswer(*good, 1.0, false);
  EXPECT_EQ(nan->Result().status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(broken->Result().status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(SolveGroupsTest, ATimeLimitIsOfOneRequest) {
  math_.prepare_door.Close();
  const auto limited = Begin({.time_limit = milliseconds(50)});
  limited->WaitForPhase("factor");
  const auto other = Begin({.value = 2.0});
  other->WaitForPhase("wait");
  const auto stopped = limited->Result();
  ASSERT_TRUE(stopped.ok()) << stopped.status();
  EXPECT_EQ(stopped->solution.report.termination, Termination::kTimeLimit);
  other->WaitForPhase("factor");
  math_.prepare_door.Open();
  ExpectAnswer(*other, 2.0, false);
  // With a factor there, it is used.
  ExpectAnswer(*Begin({.value = 3.0, .time_limit = milliseconds(500)}), 3.0,
               true);
  EXPECT_EQ(math_.alone, 1);
}

TEST_F(SolveGroupsTest, AnInterruptEndsAllOfThem) {
  math_.prepare_door.Close();
  const auto computing = Begin({});
  computing->WaitForPhase("factor");
  const auto waiting = Begin({.options = WithExponent(2)});
  waiting->WaitForPhase("wait");
  gate_.Interrupt();
  const auto stopped = computing->Result();
  ASSERT_TRUE(stopped.ok()) << stopped.status();
  EXPECT_EQ(stopped->solution.report.termination, Termination::kStopped);
  EXPECT_EQ(ReasonOf(waiting->Result().status()), "DRAINING");
}

TEST_F(SolveGroupsTest, GroupsAreBounded) {
  math_.prepare_door.Close();
  const auto first = Begin({.columns = SolveGroups::kColumnsMax - 1});
  first->WaitForPhase("factor");
  const auto second = BeginAndJoin({.value = 2.0, .columns = 1});
  const auto third = Begin({.value = 3.0, .columns = 1});
  third->WaitForPhase("wait");
  const auto fourth = BeginAndJoin({.value = 4.0, .columns = 1});
  math_.prepare_door.Open();
  ExpectAnswer(*first, 1.0, false);
  ExpectAnswer(*second, 2.0, true);
  ExpectAnswer(*third, 3.0, true);
  ExpectAnswer(*fourth, 4.0, true);
  EXPECT_EQ(math_.solves, 2);
}

TEST_F(SolveGroupsTest, WhoIsLateWhenTheGroupBeginsIsRefused) {
  math_.prepare_door.Close();
  const auto busy = Begin({.serial = 1});
  busy->WaitForPhase("factor");
  // 0.4 s at the rate that no two workers reach, 6e11 flops a second.
  const auto late =
      Begin({.deadline = milliseconds(700), .least_flops = 2.4e11});
  late->WaitForPhase("queue");
  const auto patient = BeginAndJoin({.value = 2.0});
  std::this_thread::sleep_for(milliseconds(400));
  EXPECT_FALSE(late->done());
  math_.prepare_door.Open();
  EXPECT_EQ(ReasonOf(late->Result().status()), "DEADLINE_TOO_SHORT");
  ExpectAnswer(*patient, 2.0, false);
  ExpectAnswer(*busy, 1.0, false);
}

TEST_F(SolveGroupsTest, OutOfMemoryIsToldToAllAndNotRemembered) {
  math_.prepare_door.Close();
  math_.throws = true;
  const auto first = Begin({});
  first->WaitForPhase("factor");
  const auto second = BeginAndJoin({});
  math_.prepare_door.Open();
  EXPECT_THROW(first->Result().IgnoreError(), std::bad_alloc);
  EXPECT_THROW(second->Result().IgnoreError(), std::bad_alloc);
  math_.throws = false;
  ExpectAnswer(*Begin({.value = 9.0}), 9.0, false);
}

TEST_F(SolveGroupsTest, FractionsOfThePartsAreFractionsOfTheWhole) {
  math_.solve_flops = math_.prepare_flops;
  math_.prepare_door.Close();
  math_.solve_door.Close();
  const auto call = Begin({});
  call->WaitForPhase("factor");
  EXPECT_EQ(call->fraction(), 0.25);
  math_.prepare_door.Open();
  call->WaitForPhase("iterate");
  EXPECT_EQ(call->fraction(), 0.75);
  math_.solve_door.Open();
  ExpectAnswer(*call, 1.0, false);
}

TEST_F(SolveGroupsTest, CallersThatComeAndGoAlwaysGetTheirOwn) {
  std::vector<std::future<void>> callers;
  for (int i = 0; i < 8; ++i) {
    callers.push_back(std::async(std::launch::async, [&, i] {
      for (int round = 0; round < 30; ++round) {
        const double value = 1.0 + i + 100.0 * round;
        const auto serial = static_cast<std::uint64_t>(1 + round / 5);
        const auto call = Begin({.value = value,
                                 .options = WithExponent(1 + round % 3),
                                 .serial = serial});
        if ((i + round) % 4 == 0) call->Cancel();
        const auto answer = call->Result();
        if (answer.ok()) {
          EXPECT_EQ(answer->solution.x(1, 0), value);
        } else {
          EXPECT_EQ(answer.status().code(), absl::StatusCode::kCancelled);
        }
        if (round % 7 == i % 7) cache_.Drop("m");
      }
    }));
  }
  for (auto& caller : callers) caller.get();
  WaitUntilIdle();
  EXPECT_EQ(gate_.memory().reserved(), 0);
}

}  // namespace
}  // namespace steelyard::server
