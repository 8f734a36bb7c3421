#include "server/handlers/block_stream.h"

#include <chrono>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/status.h"
#include "tests/server/handlers/fake_message_stream.h"

namespace steelyard::server {
namespace {

using Request = v1::StreamAttendRequest;
using Response = v1::StreamAttendResponse;
using testing::ElementsAre;

Request Open() {
  Request request;
  request.mutable_open();
  return request;
}

Request Block(std::int64_t id) {
  Request request;
  request.mutable_block()->set_id(id);
  return request;
}

// Notes what it is given.
struct NotingCourse {
  std::vector<std::int64_t> seen;  // -1: the open
  absl::Status open_status;
  absl::Status block_status;

  absl::Status Open(RequestContext& context,
                    std::shared_ptr<const Request> message) {
    EXPECT_TRUE(message->has_open());
    context.set_shape("shape");
    context.set_timing({.queue = std::chrono::nanoseconds(1),
                        .compute = std::chrono::nanoseconds(10)});
    seen.push_back(-1);
    return open_status;
  }
  absl::Status Answer(RequestContext& context,
                      std::shared_ptr<const Request> message) {
    context.set_timing({.queue = std::chrono::nanoseconds(2),
                        .compute = std::chrono::nanoseconds(20)});
    seen.push_back(message->block().id());
    return block_status;
  }
};

class BlockStreamTest : public testing::Test {
 protected:
  absl::Status Serve(std::chrono::milliseconds idle = {}) {
    return ServeBlocks(context_, stream_, gate_,
                       {.idle = idle, .slots = slots_}, course_);
  }

  const Workers workers_{1};
  Gate gate_{workers_, {.memory_budget = 100, .queue_length = 1}};
  StreamSlots slots_{1};
  std::atomic<bool> cancelled_{false};
  RequestContext context_{{.method = "/test",
                           .request_id = "1",
                           .deadline = {},
                           .cancelled = [this] { return cancelled_.load(); }}};
  test::FakeMessageStream<Request, Response> stream_;
  NotingCourse course_;
};

std::string ReasonOf(const absl::Status& status) {
  return DetailOf(status).value_or(ErrorDetail{}).reason;
}

TEST_F(BlockStreamTest, BlocksComeInOrderAndTheirTimesAddUp) {
  stream_.requests = {Open(), Block(3), Block(1), Block(3)};
  EXPECT_TRUE(Serve().ok());
  EXPECT_THAT(course_.seen, ElementsAre(-1, 3, 1, 3));
  EXPECT_EQ(context_.timing().queue.count(), 7);
  EXPECT_EQ(context_.timing().compute.count(), 70);
  EXPECT_EQ(context_.shape(), "shape");
}

TEST_F(BlockStreamTest, MessagesOutOfOrderEndTheStream) {
  stream_.requests = {Block(1)};
  EXPECT_EQ(ReasonOf(Serve()), "MESSAGE_OUT_OF_ORDER");
  stream_.requests = {Open(), Block(7), Open(), Block(8)};
  EXPECT_EQ(ReasonOf(Serve()), "MESSAGE_OUT_OF_ORDER");
  EXPECT_THAT(course_.seen, ElementsAre(-1, 7));
  stream_.requests = {};
  EXPECT_EQ(ReasonOf(Serve()), "MESSAGE_OUT_OF_ORDER");
  stream_.requests = {Request()};
  EXPECT_EQ(ReasonOf(Serve()), "FIELD_REQUIRED");
}

TEST_F(BlockStreamTest, AnErrorEndsTheStreamAndNamesItsMessage) {
  course_.open_status = OutOfRangeError("sinks", "-1", "it must be >= 0");
  stream_.requests = {Open(), Block(1)};
  EXPECT_EQ(DetailOf(Serve())->field, "open.sinks");
  course_.open_status = absl::OkStatus();
  course_.block_status = OutOfRangeError("block.x", "-1", "it must be >= 0");
  course_.seen.clear();
  stream_.requests = {Open(), Block(1), Block(2)};
  EXPECT_EQ(DetailOf(Serve())->field, "block.x");
  EXPECT_THAT(course_.seen, ElementsAre(-1, 1));
}

TEST_F(BlockStreamTest, AStreamOnWhichNothingComesIsEnded) {
  stream_.requests = {Open(), Block(1)};
  stream_.ends = false;
  const auto begin = std::chrono::steady_clock::now();
  const absl::Status status = Serve(std::chrono::milliseconds(120));
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(ReasonOf(status), "STREAM_IDLE");
  EXPECT_GE(std::chrono::steady_clock::now() - begin,
            std::chrono::milliseconds(120));
  EXPECT_THAT(course_.seen, ElementsAre(-1, 1));
}

TEST_F(BlockStreamTest, OneStreamTooManyIsToldToRetry) {
  const auto other = slots_.Take();
  stream_.requests = {Open()};
  const absl::Status full = Serve();
  EXPECT_EQ(ReasonOf(full), "QUEUE_FULL");
  EXPECT_TRUE(RetryDelayOf(full).has_value());
  EXPECT_TRUE(course_.seen.empty());
}

TEST_F(BlockStreamTest, ADrainEndsAStreamThatWaits) {
  stream_.requests = {Open()};
  stream_.ends = false;
  gate_.StopAdmitting();
  EXPECT_EQ(ReasonOf(Serve()), "DRAINING");
}

TEST_F(BlockStreamTest, ACallerThatHasGoneIsNotAnEndOfBlocks) {
  stream_.requests = {Open()};
  cancelled_ = true;
  EXPECT_EQ(Serve().code(), absl::StatusCode::kCancelled);
  RequestContext late(
      {.method = "/test",
       .request_id = "1",
       .deadline = RequestContext::Clock::now() - std::chrono::seconds(1),
       .cancelled = [] { return true; }});
  EXPECT_EQ(GoneStatus(late).code(), absl::StatusCode::kDeadlineExceeded);
}

}  // namespace
}  // namespace steelyard::server
