// Solves on stored matrices with the real mathematics, without a network.
#include "server/handlers/solve_work.h"

#include <atomic>
#include <cstdint>
#include <cstring>
#include <future>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/handlers/stream_solve_handler.h"
#include "tests/server/handlers/solve_server.h"

namespace steelyard::server {
namespace {

using test::Bits;
using test::Called;
using test::CancelInPhase;
using test::kCols;
using test::kName;
using test::kRows;
using test::kWorkers;
using test::Server;
using test::SetB;
using test::Solve;

v1::SolveRequest EvenRequest(int exponent, std::uint64_t stream) {
  v1::SolveRequest request;
  request.mutable_a()->set_matrix(kName);
  request.mutable_gram_power()->set_exponent(exponent);
  SetB(request, kCols, stream);
  return request;
}

v1::SolveRequest OddRequest(int exponent, std::uint64_t stream) {
  v1::SolveRequest request;
  request.mutable_a()->set_matrix(kName);
  request.mutable_left_gram_power()->set_exponent(exponent);
  SetB(request, kRows, stream);
  return request;
}

TEST(SolveWorkTest, TheSecondSolveHasTheFactorAndTheSameBits) {
  for (const v1::SolveRequest& request : {EvenRequest(1, 1), EvenRequest(3, 1),
                                          OddRequest(0, 1), OddRequest(2, 1)}) {
    Server server;
    const Called first = Solve(server.parts(), request);
    ASSERT_TRUE(first.status.ok()) << first.status;
    EXPECT_FALSE(first.response.report().factor_cache_hit());
    EXPECT_EQ(first.response.report().termination(), v1::TERMINATION_CONVERGED);
    EXPECT_GT(server.cache.memory().reserved(), 0);
    const Called second = Solve(server.parts(), request);
    ASSERT_TRUE(second.status.ok()) << second.status;
    EXPECT_TRUE(second.response.report().factor_cache_hit());
    EXPECT_EQ(Bits(second), Bits(first));
    EXPECT_EQ(server.gate.memory().reserved(), 0);
  }
}

TEST(SolveWorkTest, WithoutSharingEverySolveIsItsOwn) {
  Server server;
  for (int i = 0; i < 2; ++i) {
    const Called called = Solve(server.parts(false), EvenRequest(1, 1));
    ASSERT_TRUE(called.status.ok()) << called.status;
    EXPECT_FALSE(called.response.report().factor_cache_hit());
  }
  EXPECT_EQ(server.cache.memory().reserved(), 0);
}

TEST(SolveWorkTest, OtherMethodsAndRidgesHaveFactorsOfTheirOwn) {
  Server server;
  v1::SolveRequest ridge = EvenRequest(1, 1);
  ridge.set_ridge(0.5);
  v1::SolveRequest qr = EvenRequest(1, 1);
  qr.set_method(v1::METHOD_QR);
  std::set<std::string> answers;
  for (const bool hit : {false, true}) {
    for (const v1::SolveRequest& request : {EvenRequest(1, 1), ridge, qr}) {
      const Called called = Solve(server.parts(), request);
      ASSERT_TRUE(called.status.ok()) << called.status;
      EXPECT_EQ(called.response.report().factor_cache_hit(), hit);
      answers.insert(Bits(called));
    }
  }
  EXPECT_EQ(answers.size(), 3u);
}

TEST(SolveWorkTest, FiftyCallersComputeOneFactorAndHaveTheBitsOfLoneCalls) {
  constexpr int kCallers = 50;
  std::vector<std::string> lone;
  Server alone;
  for (int i = 0; i < kCallers; ++i) {
    lone.push_back(Bits(
        Solve(alone.parts(), OddRequest(1, static_cast<std::uint64_t>(i)))));
  }
  Server server;
  std::vector<std::future<Called>> calls;
  for (int i = 0; i < kCallers; ++i) {
    calls.push_back(std::async(std::launch::async, [&server, i] {
      // Three give up at once.
      auto cancelled = [i] { return i % 20 == 7; };
      return Solve(server.parts(), OddRequest(1, static_cast<std::uint64_t>(i)),
                   cancelled);
    }));
  }
  int computed = 0;
  for (int i = 0; i < kCallers; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const Called called = calls[at].get();
    if (i % 20 == 7 && !called.status.ok()) {
      EXPECT_EQ(called.status.code(), absl::StatusCode::kCancelled);
      continue;
    }
    ASSERT_TRUE(called.status.ok()) << called.status;
    EXPECT_EQ(Bits(called), lone[at]) << i;
    if (!called.response.report().factor_cache_hit()) ++computed;
  }
  EXPECT_LE(computed, 1);
  while (server.gate.running() != 0) std::this_thread::yield();
  EXPECT_EQ(server.gate.memory().reserved(), 0);
}

TEST(SolveWorkTest, ANaNConcernsItsCallerAlone) {
  Server server;
  const std::string expected = Bits(Solve(server.parts(), EvenRequest(2, 1)));
  server.cache.Drop("a");
  v1::SolveRequest bad = EvenRequest(2, 2);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  std::memcpy(bad.mutable_b()->mutable_data()->data() + 8 * 5, &nan, 8);
  std::vector<std::future<Called>> calls;
  for (int i = 0; i < 8; ++i) {
    calls.push_back(std::async(std::launch::async, [&, i] {
      return Solve(server.parts(), i % 2 == 0 ? bad : EvenRequest(2, 1));
    }));
  }
  for (int i = 0; i < 8; ++i) {
    const Called called = calls[static_cast<std::size_t>(i)].get();
    if (i % 2 == 1) {
      EXPECT_EQ(Bits(called), expected);
      continue;
    }
    EXPECT_EQ(called.status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(called.status.message().find("b"), std::string::npos);
  }
}

TEST(SolveWorkTest, ADeletedMatrixGoesOnForWhoHasIt) {
  Server server;
  RequestContext context({.method = "/test", .request_id = "1"});
  bool first = true;
  v1::SolveResponse result;
  const absl::Status status =
      StreamSolveHandler(server.parts())
          .Handle(context,
                  std::make_shared<const v1::SolveRequest>(OddRequest(1, 1)),
                  [&](const v1::SolveEvent& event) {
                    if (std::exchange(first, false)) {
                      server.matrices.Delete("a");
                      server.cache.Drop("a");
                    }
                    if (event.has_result()) result = event.result();
                    return true;
                  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(result.report().termination(), v1::TERMINATION_CONVERGED);
  EXPECT_EQ(Solve(server.parts(), OddRequest(1, 1)).status.code(),
            absl::StatusCode::kNotFound);
}

TEST(SolveWorkTest, TimeLimitsUseTheFactorAndLeaveItToOthers) {
  Server server;
  v1::SolveRequest limited = OddRequest(1, 1);
  limited.mutable_time_limit()->set_nanos(1);
  const Called cut = Solve(server.parts(), limited);
  ASSERT_TRUE(cut.status.ok()) << cut.status;
  EXPECT_EQ(cut.response.report().termination(), v1::TERMINATION_TIME_LIMIT);
  EXPECT_EQ(cut.response.x().shape(0), kCols);
  EXPECT_EQ(server.cache.memory().reserved(), 0);
  const Called whole = Solve(server.parts(), OddRequest(1, 1));
  limited.mutable_time_limit()->set_seconds(3600);
  const Called patient = Solve(server.parts(), limited);
  EXPECT_TRUE(patient.response.report().factor_cache_hit());
  EXPECT_EQ(Bits(patient), Bits(whole));
}

TEST(SolveWorkTest, ProgressIsToldAndNeverFalls) {
  Server server;
  for (const bool hit : {false, true}) {
    RequestContext context({.method = "/test", .request_id = "1"});
    double fraction = 0.0;
    int events = 0;
    const absl::Status status =
        StreamSolveHandler(server.parts())
            .Handle(context,
                    std::make_shared<const v1::SolveRequest>(OddRequest(3, 1)),
                    [&](const v1::SolveEvent& event) {
                      if (!event.has_progress()) {
                        EXPECT_EQ(event.result().report().factor_cache_hit(),
                                  hit);
                        return true;
                      }
                      ++events;
                      EXPECT_GE(event.progress().fraction(), fraction);
                      fraction = event.progress().fraction();
                      return true;
                    });
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_GE(events, 1);
  }
}

void ExpectNothingBeginsAfterACancelIn(const std::string& phase,
                                       const v1::SolveRequest& request) {
  SCOPED_TRACE(phase);
  CancelInPhase cancel(phase);
  Server server;
  SolveGroups groups(server.cache, kWorkers, cancel.Hooks());
  Gate gate(server.workers,
            {.memory_budget = std::int64_t{1} << 32, .queue_length = 8});
  const SolveParts parts{.limits = Limits{},
                         .workers = kWorkers,
                         .gate = gate,
                         .matrices = server.matrices.lookup(),
                         .groups = &groups};
  const Called called =
      Solve(parts, request, [&] { return cancel.cancelled(); });
  ASSERT_TRUE(cancel.cancelled());
  EXPECT_EQ(called.status.code(), absl::StatusCode::kCancelled);
  while (gate.running() != 0) std::this_thread::yield();
  EXPECT_EQ(cancel.blocks_after_stop(), 0);
  EXPECT_EQ(gate.memory().reserved(), 0);
}

TEST(SolveWorkTest, AfterACancelInAnyPhaseNoBlockBegins) {
  for (const char* const phase : {"scan", "factor", "iterate", "verify"}) {
    ExpectNothingBeginsAfterACancelIn(phase, OddRequest(2, 1));
    ExpectNothingBeginsAfterACancelIn(phase, EvenRequest(2, 1));
  }
  v1::SolveRequest qr = OddRequest(1, 1);
  qr.set_method(v1::METHOD_QR);
  ExpectNothingBeginsAfterACancelIn("factor", qr);
  v1::SolveRequest sketch = OddRequest(1, 1);
  sketch.set_method(v1::METHOD_SKETCH);
  v1::SolveRequest even_sketch = EvenRequest(2, 1);
  even_sketch.set_method(v1::METHOD_SKETCH);
  for (const v1::SketchKind kind :
       {v1::SKETCH_KIND_GAUSSIAN, v1::SKETCH_KIND_SRHT,
        v1::SKETCH_KIND_COUNT_SKETCH, v1::SKETCH_KIND_SPARSE_SIGN}) {
    sketch.mutable_sketch()->set_kind(kind);
    ExpectNothingBeginsAfterACancelIn("factor", sketch);
    even_sketch.mutable_sketch()->set_kind(kind);
    ExpectNothingBeginsAfterACancelIn("factor", even_sketch);
  }
}

// Whose bytes take until somebody loses patience.
class EndlessMatrix final : public StoredMatrix {
 public:
  EndlessMatrix() {
    info_.id = "endless";
    info_.layout = {.rows = kRows, .cols = kCols};
  }
  const MatrixInfo& info() const override { return info_; }
  absl::Status Load(const StopToken& stop) const override {
    while (!stop.stop_requested()) std::this_thread::yield();
    return StopStatus(stop);
  }
  const std::byte* data() const override { return nullptr; }
  std::uint64_t serial() const override { return 9; }

 private:
  MatrixInfo info_;
};

TEST(SolveWorkTest, ACancelEndsTheReadingOfAMatrix) {
  Server server;
  SolveParts parts{.limits = Limits{},
                   .workers = kWorkers,
                   .gate = server.gate,
                   .matrices = [](const std::string&)
                       -> absl::StatusOr<std::shared_ptr<const StoredMatrix>> {
                     return std::make_shared<const EndlessMatrix>();
                   },
                   .groups = &server.groups};
  std::atomic<bool> reading{false};
  RequestContext context(
      {.method = "/test", .request_id = "1", .deadline = {}, .cancelled = [&] {
         return reading.load();
       }});
  const absl::Status status = StreamSolveHandler(parts).Handle(
      context, std::make_shared<const v1::SolveRequest>(OddRequest(1, 1)),
      [&](const v1::SolveEvent& event) {
        if (event.progress().phase() == "read") reading = true;
        return true;
      });
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(reading);
  while (server.gate.running() != 0) std::this_thread::yield();
  EXPECT_EQ(server.gate.memory().reserved(), 0);
}

}  // namespace
}  // namespace steelyard::server
