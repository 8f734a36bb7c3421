#include "server/handlers/predict_handler.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/convert/prediction.h"
#include "steelyard/status.h"
#include "tests/server/convert/fake_stored_matrix.h"
#include "tests/server/convert/valid_requests.h"

namespace steelyard::server {
namespace {

using Clock = RequestContext::Clock;
using Predict = decltype(PredictParts::predict);
using std::chrono::milliseconds;

constexpr int kWorkers = 2;
constexpr Index kKeys = 40;
constexpr Index kCols = 3;
constexpr Index kWeights = 2;
constexpr Index kQueries = 100;

v1::PredictRequest Request() {
  v1::PredictRequest request;
  test::SetPlainTensor({kKeys, kCols}, request.mutable_a()->mutable_dense());
  test::SetPlainTensor({kKeys, kWeights}, request.mutable_x());
  test::SetPlainTensor({kQueries, kCols},
                       request.mutable_queries()->mutable_dense());
  return request;
}

// Eight rows a message.
Limits SmallMessages() {
  Limits limits;
  limits.chunk_bytes_max = 256 + 13 * kWeights * 8;
  return limits;
}

// The same, and the outbox is full after each.
Limits NarrowOutbox() {
  Limits limits = SmallMessages();
  limits.stream_queue_bytes = 1;
  return limits;
}

struct Server {
  explicit Server(const Limits& used_limits = Limits(),
                  Predict used_predict = PredictAttentionKernel,
                  std::int64_t memory = std::int64_t{1} << 30)
      : predict(std::move(used_predict)),
        limits(used_limits),
        gate(workers, {.memory_budget = memory, .queue_length = 0}) {}

  PredictParts parts() {
    return {.limits = limits,
            .workers = kWorkers,
            .gate = gate,
            .slots = slots,
            .matrices = matrices.lookup(),
            .predict = predict};
  }
  void WaitUntilNothingRuns() {
    while (gate.running() != 0) std::this_thread::yield();
  }

  const Predict predict;
  const Limits limits;
  const Workers workers{kWorkers};
  steelyard::test::FakeMatrices matrices;
  Gate gate;
  StreamSlots slots{1};
};

struct Called {
  absl::Status status;
  std::vector<v1::PredictResponse> messages;

  // All rows, without gaps.
  std::string y() const {
    std::string all;
    Index next = 0;
    for (const v1::PredictResponse& message : messages) {
      EXPECT_EQ(message.offset(), next);
      next += message.y().shape(0);
      EXPECT_EQ(message.y().shape(1), kWeights);
      all += message.y().data();
    }
    return all;
  }
};

struct How {
  std::function<bool()> cancelled = {};
  std::optional<Clock::time_point> deadline = {};
  // Before a message is kept; false: the stream is broken.
  std::function<bool(std::size_t number)> on_write = {};
};

Called Call(Server& server, const v1::PredictRequest& request,
            const How& how = {}) {
  RequestContext context({.method = "/test",
                          .request_id = "1",
                          .deadline = how.deadline,
                          .cancelled = how.cancelled});
  const PredictParts parts = server.parts();
  Called called;
  called.status = PredictHandler(parts).Handle(
      context, std::make_shared<const v1::PredictRequest>(request),
      [&](const v1::PredictResponse& message) {
        if (how.on_write && !how.on_write(called.messages.size())) return false;
        called.messages.push_back(message);
        return true;
      });
  return called;
}

std::string OfCore(const v1::PredictRequest& request) {
  const auto problem = PredictProblemFromProto(request, Limits());
  EXPECT_TRUE(problem.ok()) << problem.status();
  const TensorMatrices a(problem->a()), x(problem->x()),
      queries(problem->queries());
  const Workers workers(1);
  std::string y;
  const absl::Status predicted = PredictAttentionKernel(
      a.matrix(), x.matrix(), queries.matrix(), problem->options(),
      [&](const PredictedRows& rows) {
        y.append(reinterpret_cast<const char*>(rows.y.data()),
                 static_cast<std::size_t>(rows.y.size()) * sizeof(double));
        return absl::OkStatus();
      },
      {.workers = workers});
  EXPECT_TRUE(predicted.ok()) << predicted;
  return y;
}

TEST(PredictHandlerTest, RowsHaveTheBitsOfCore) {
  for (const auto normalization :
       {v1::KERNEL_NORMALIZATION_NONE, v1::KERNEL_NORMALIZATION_UNIT_DIAGONAL,
        v1::KERNEL_NORMALIZATION_SOFTMAX_ROWS}) {
    v1::PredictRequest request = Request();
    request.set_normalization(normalization);
    request.set_scale(3.0);
    Server server;
    const Called called = Call(server, request);
    ASSERT_TRUE(called.status.ok()) << called.status;
    EXPECT_EQ(called.y(), OfCore(request));
    EXPECT_EQ(called.messages.size(), 1u);
    EXPECT_EQ(server.gate.memory().reserved(), 0);
  }
}

TEST(PredictHandlerTest, ASlowReaderGetsTheSameRowsInPieces) {
  for (const Limits& limits : {SmallMessages(), NarrowOutbox()}) {
    Server server(limits);
    const Called called = Call(server, Request());
    ASSERT_TRUE(called.status.ok()) << called.status;
    EXPECT_EQ(called.messages.size(), 13u);
    EXPECT_EQ(called.y(), OfCore(Request()));
    for (const v1::PredictResponse& message : called.messages) {
      EXPECT_LE(message.ByteSizeLong(),
                static_cast<std::size_t>(limits.chunk_bytes_max));
    }
  }
}

// While its caller does not read, nothing runs and no place is taken, in either
// lane: with a queue of length 0 a place that is taken turns others away.
TEST(PredictHandlerTest, ASlowReaderHoldsNobodyUp) {
  Server server(NarrowOutbox());
  int others = 0;
  const Called called = Call(
      server, Request(), {.on_write = [&](std::size_t) {
        server.WaitUntilNothingRuns();
        for (const double flops : {1e3, 1e10}) {
          RequestContext context({.method = "/other", .request_id = "2"});
          auto ticket = server.gate.Enter({.cost = {.flops = flops}}, context);
          EXPECT_TRUE(ticket.ok()) << ticket.status();
          if (!ticket.ok()) return false;
          const auto answer = ticket->Compute(
              context,
              [](const ComputeContext&) -> absl::StatusOr<int> { return 1; });
          others += answer.ok() ? 1 : 0;
        }
        // What was reserved stays so.
        return server.gate.memory().reserved() > 0;
      }});
  EXPECT_TRUE(called.status.ok()) << called.status;
  EXPECT_EQ(others, 26);
  EXPECT_EQ(called.y(), OfCore(Request()));
  EXPECT_EQ(server.gate.memory().reserved(), 0);
}

TEST(PredictHandlerTest, MemoryIsReservedBeforeAnyWork) {
  std::atomic<std::int64_t> reserved{0};
  Server* seen = nullptr;
  std::atomic<int> calls{0};
  const auto predict = [&](const auto& a, const auto& x, const auto& queries,
                           const auto& options, const auto& sink,
                           const auto& context) {
    ++calls;
    reserved = seen->gate.memory().reserved();
    return PredictAttentionKernel(a, x, queries, options, sink, context);
  };
  const v1::PredictRequest request = Request();
  const auto problem = PredictProblemFromProto(request, Limits());
  const double bytes = CostOf(*problem, Limits(), kWorkers).bytes;
  Server server(Limits(), predict);
  seen = &server;
  EXPECT_TRUE(Call(server, request).status.ok());
  EXPECT_GE(static_cast<double>(reserved.load()), bytes);

  Server small(Limits(), predict, static_cast<std::int64_t>(bytes / 2.0));
  seen = &small;
  const Called refused = Call(small, request);
  EXPECT_EQ(DetailOf(refused.status)->reason, "LIMIT_EXCEEDED");
  EXPECT_EQ(calls, 1);
}

TEST(PredictHandlerTest, PredictionsAreBoundedWithTheStreams) {
  Server server;
  const auto slot = server.slots.Take();
  ASSERT_TRUE(slot.ok());
  EXPECT_EQ(DetailOf(Call(server, Request()).status)->reason, "QUEUE_FULL");
}

TEST(PredictHandlerTest, ABrokenStreamEndsTheWork) {
  for (const Limits& limits : {SmallMessages(), NarrowOutbox()}) {
    Server server(limits);
    const Called called =
        Call(server, Request(),
             {.on_write = [](std::size_t number) { return number < 3; }});
    EXPECT_EQ(called.status.code(), absl::StatusCode::kCancelled);
    EXPECT_EQ(called.messages.size(), 3u);
    server.WaitUntilNothingRuns();
    while (server.gate.memory().reserved() != 0) std::this_thread::yield();
  }
}

// Runs until it is stopped.
absl::Status Endless(const ComputeContext& context) {
  while (!context.stop.stop_requested()) std::this_thread::yield();
  const absl::Status unwanted = StopStatus(context.stop);
  return unwanted.ok() ? absl::AbortedError("no best answer") : unwanted;
}

TEST(PredictHandlerTest, DeadlinesAndDrainsEndTheWork) {
  const auto endless = [](const auto&, const auto&, const auto&, const auto&,
                          const auto&, const ComputeContext& context) {
    return Endless(context);
  };
  Server server(Limits(), endless);
  const Called out_of_time =
      Call(server, Request(), {.deadline = Clock::now() + milliseconds(30)});
  EXPECT_EQ(out_of_time.status.code(), absl::StatusCode::kDeadlineExceeded);
  server.WaitUntilNothingRuns();
  EXPECT_TRUE(out_of_time.messages.empty());

  Server* draining = nullptr;
  Server drained(Limits(),
                 [&](const auto&, const auto&, const auto&, const auto&,
                     const auto&, const ComputeContext& context) {
                   draining->gate.Interrupt();
                   return Endless(context);
                 });
  draining = &drained;
  const Called interrupted = Call(drained, Request());
  EXPECT_EQ(interrupted.status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(DetailOf(interrupted.status)->reason, "DRAINING");
  EXPECT_EQ(DetailOf(Call(drained, Request()).status)->reason, "DRAINING");
}

std::int64_t BlocksBegun(const StopToken& token) {
  return token.looks() - token.looks_after_stop();
}

TEST(PredictHandlerTest, AfterACancelNoBlockBegins) {
  std::atomic<bool> cancelled{false};
  std::atomic<std::int64_t> begun_after{-1};
  Server server(SmallMessages(),
                [&](const auto& a, const auto& x, const auto& queries,
                    const auto& options, const PredictionSink& sink,
                    const ComputeContext& context) {
                  std::int64_t before = 0;
                  const absl::Status status = PredictAttentionKernel(
                      a, x, queries, options,
                      [&](PredictedRows rows) {
                        const bool third = rows.first == 16;
                        absl::Status taken = sink(std::move(rows));
                        if (!third) return taken;
                        cancelled = true;
                        while (!context.stop.stop_requested())
                          std::this_thread::yield();
                        before = BlocksBegun(context.stop);
                        return taken;
                      },
                      context);
                  begun_after = BlocksBegun(context.stop) - before;
                  return status;
                });
  const Called called =
      Call(server, Request(), {.cancelled = [&] { return cancelled.load(); }});
  EXPECT_EQ(called.status.code(), absl::StatusCode::kCancelled);
  server.WaitUntilNothingRuns();
  EXPECT_EQ(begun_after, 0);
}

TEST(PredictHandlerTest, StoredMatricesGiveTheSameRows) {
  Server server;
  const v1::PredictRequest sent = Request();
  const auto add =
      [&](const char* id,
          const v1::Tensor& tensor) -> steelyard::test::FakeStoredMatrix& {
    return server.matrices.Add(
        id, {.rows = tensor.shape(0), .cols = tensor.shape(1)}, tensor.data());
  };
  add("a", sent.a().dense());
  add("x", sent.x());
  auto& queries = add("queries", sent.queries().dense());
  v1::PredictRequest stored;
  stored.mutable_a()->set_matrix("matrices/a");
  stored.set_x_matrix("matrices/x");
  stored.mutable_queries()->set_matrix("matrices/queries");
  const Called called = Call(server, stored);
  ASSERT_TRUE(called.status.ok()) << called.status;
  EXPECT_EQ(called.y(), OfCore(sent));

  queries.FailLoads(absl::DataLossError("damaged"));
  EXPECT_EQ(Call(server, stored).status.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(server.gate.memory().reserved(), 0);
}

TEST(PredictHandlerTest, RefusalsComeBeforeAnyRow) {
  Server server(SmallMessages());
  v1::PredictRequest request = Request();
  std::string* const data =
      request.mutable_queries()->mutable_dense()->mutable_data();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  std::memcpy(data->data() + data->size() - 8, &nan, 8);
  const Called called = Call(server, request);
  EXPECT_EQ(called.status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(DetailOf(called.status)->field, "queries.dense.data");
  EXPECT_EQ(DetailOf(called.status)->metadata.at("index"), "299");
  EXPECT_TRUE(called.messages.empty());
}

// Values outside float64 are mantissas and exponents.
TEST(PredictHandlerTest, HugeValuesHaveExponents) {
  v1::PredictRequest request = Request();
  request.set_scale(1e4);
  Server server(SmallMessages());
  const Called called = Call(server, request);
  ASSERT_TRUE(called.status.ok()) << called.status;
  bool outside = false;
  for (const v1::PredictResponse& message : called.messages) {
    const int exponents = message.y_exponents_size();
    if (exponents == 0) continue;
    EXPECT_EQ(exponents, message.y().shape(0) * kWeights);
    outside = true;
  }
  EXPECT_TRUE(outside);
}

}  // namespace
}  // namespace steelyard::server
