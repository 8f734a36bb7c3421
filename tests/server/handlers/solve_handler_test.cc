// Handlers without a network: what a stop does to the work.
#include "server/handlers/solve_handler.h"

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <thread>
#include <utility>

#include "gtest/gtest.h"
#include "server/errors/errors.h"
#include "server/handlers/find_universal_set_handler.h"
#include "server/handlers/stream_solve_handler.h"
#include "steelyard/status.h"
#include "tests/support_server/requests.h"

namespace steelyard::server {
namespace {

constexpr int kWorkers = 2;

class HandlerTest : public testing::Test {
 protected:
  const Limits limits_;
  const Workers workers_{kWorkers};
  Gate gate_{workers_, {.memory_budget = 1 << 30, .queue_length = 8}};
  const SolveParts parts_{
      .limits = limits_, .workers = kWorkers, .gate = gate_};
};

RequestContext::Call CallCancelledBy(const std::atomic<bool>& cancelled) {
  return {.method = "/test",
          .request_id = "1",
          .deadline = {},
          .cancelled = [&cancelled] { return cancelled.load(); }};
}

// Looks that let a block of work begin.
std::int64_t BlocksBegun(const StopToken& token) {
  return token.looks() - token.looks_after_stop();
}

TEST_F(HandlerTest, AfterACancelAtMostOneBlockAWorkerBegins) {
  const StreamSolveHandler handler(parts_);
  std::atomic<bool> cancelled{false};
  RequestContext context(CallCancelledBy(cancelled));
  const StopToken token = context.stop().token();
  std::int64_t begun_before = 0;
  const auto write = [&](const v1::SolveEvent& event) {
    const bool computes =
        event.has_progress() && event.progress().phase() != "queue";
    if (computes && !cancelled) {
      StopSource(context.stop()).RequestStop(StopReason::kCancelled);
      begun_before = BlocksBegun(token);
      cancelled = true;
    }
    return true;
  };
  const auto request =
      std::make_shared<const v1::SolveRequest>(test::EndlessRequest(4000));
  const absl::Status status = handler.Handle(context, request, write);
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  while (gate_.running() != 0) std::this_thread::yield();
  EXPECT_LE(BlocksBegun(token) - begun_before, kWorkers);
  EXPECT_EQ(gate_.memory().reserved(), 0);
}

TEST_F(HandlerTest, WorkStopsAtWhateverLookItIsTold) {
  const SolveHandler handler(parts_);
  for (const std::int64_t look : {1, 2, 5, 20, 100}) {
    const std::atomic<bool> never{false};
    RequestContext context(CallCancelledBy(never));
    StopSource stop = context.stop();
    stop.StopAtLook(look);
    v1::SolveResponse response;
    const auto request =
        std::make_shared<const v1::SolveRequest>(test::EndlessRequest(3000));
    const absl::Status status = handler.Handle(context, request, &response);
    EXPECT_EQ(status.code(), absl::StatusCode::kCancelled) << look;
    EXPECT_EQ(response.ByteSizeLong(), 0u);
    while (gate_.running() != 0) std::this_thread::yield();
    EXPECT_EQ(gate_.memory().reserved(), 0);
  }
}

TEST_F(HandlerTest,
       ADeadlineThatNobodyCanMeetIsRefusedBeforeTheNumbersAreRead) {
  // 4096^3 multiplications for two workers: 0.1 s on a processor of tomorrow.
  auto request = std::make_shared<v1::FindUniversalSetRequest>();
  v1::Tensor* keys = request->mutable_keys()->mutable_dense();
  keys->set_dtype(v1::DTYPE_FLOAT16);
  keys->add_shape(4096);
  keys->add_shape(4096);
  // 0xffff is NaN: whoever reads it answers NOT_FINITE.
  keys->set_data(std::string(2 * 4096 * 4096, '\xff'));
  request->set_epsilon(0.5);
  RequestContext context(
      {.method = "/test",
       .request_id = "1",
       .deadline = RequestContext::Clock::now() + std::chrono::milliseconds(50),
       .cancelled = {}});
  Gate roomy(workers_,
             {.memory_budget = std::int64_t{1} << 50, .queue_length = 8});
  SetRegistry registry(std::int64_t{1} << 30);
  StreamSlots slots(1);
  const FindUniversalSetHandler to_roomy({.limits = limits_,
                                          .workers = kWorkers,
                                          .gate = roomy,
                                          .registry = registry,
                                          .slots = slots,
                                          .stream_idle = {}});
  v1::FindUniversalSetResponse response;
  const absl::Status status = to_roomy.Handle(context, request, &response);
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(DetailOf(status)->reason, "DEADLINE_TOO_SHORT");
}

TEST_F(HandlerTest, TheContextTellsTheLogWhatWasAskedAndHowItEnded) {
  const SolveHandler handler(parts_);
  const std::atomic<bool> never{false};
  RequestContext context(CallCancelledBy(never));
  v1::SolveResponse response;
  const auto request = std::make_shared<const v1::SolveRequest>(
      test::LeastSquaresRequest(50, 5));
  const absl::Status status = handler.Handle(context, request, &response);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(context.termination(), "CONVERGED");
  EXPECT_NE(context.shape().find("50x5"), std::string::npos) << context.shape();
  EXPECT_GT(context.timing().compute.count(), 0);
}

}  // namespace
}  // namespace steelyard::server
