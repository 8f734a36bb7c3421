#include "server/handlers/attend_handler.h"

#include <chrono>
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "steelyard/status.h"
#include "tests/server/convert/valid_requests.h"
#include "tests/server/handlers/kept_set.h"

namespace steelyard::server {
namespace {

constexpr int kWorkers = 2;

class AttendHandlerTest : public testing::Test {
 protected:
  absl::Status Handle(const v1::AttendRequest& request,
                      std::chrono::milliseconds time,
                      v1::AttendResponse* response) {
    RequestContext context({.method = "/test",
                            .request_id = "1",
                            .deadline = RequestContext::Clock::now() + time,
                            .cancelled = {}});
    const AttendHandler handler({.limits = limits_,
                                 .workers = kWorkers,
                                 .gate = gate_,
                                 .registry = registry_,
                                 .slots = slots_,
                                 .stream_idle = {}});
    return handler.Handle(
        context, std::make_shared<const v1::AttendRequest>(request), response);
  }

  const Limits limits_;
  const Workers workers_{kWorkers};
  Gate gate_{workers_,
             {.memory_budget = std::int64_t{1} << 50, .queue_length = 8}};
  SetRegistry registry_{std::int64_t{1} << 30};
  StreamSlots slots_{1};
};

TEST_F(AttendHandlerTest, AnswersAndGivesItsMemoryBack) {
  v1::AttendResponse response;
  const absl::Status status =
      Handle(test::ValidAttendRequest(), std::chrono::seconds(30), &response);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(response.attended_size(), 20);
  EXPECT_EQ(gate_.memory().reserved(), 0);
}

// Nobody finds a set of such keys in that time; whoever reads them answers
// NOT_FINITE.
TEST_F(AttendHandlerTest, ADeadlineBelowTheLeastWorkIsRefusedAtOnce) {
  v1::AttendRequest request;
  for (v1::Tensor* const tensor : {request.mutable_keys()->mutable_dense(),
                                   request.mutable_values()->mutable_dense()}) {
    tensor->set_dtype(v1::DTYPE_FLOAT16);
    tensor->add_shape(4096);
    tensor->add_shape(tensor == &request.values().dense() ? 1 : 4096);
    tensor->set_data(std::string(
        static_cast<std::size_t>(2 * tensor->shape(0) * tensor->shape(1)),
        '\xff'));
  }
  test::SetPlainTensor({1, 4096}, request.mutable_queries());
  request.set_epsilon(0.5);
  v1::AttendResponse response;
  const absl::Status late =
      Handle(request, std::chrono::milliseconds(50), &response);
  EXPECT_EQ(late.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(DetailOf(late)->reason, "DEADLINE_TOO_SHORT");
  // Sinks are looked up.
  request.clear_epsilon();
  request.set_sinks(1);
  const absl::Status sinks =
      Handle(request, std::chrono::seconds(30), &response);
  EXPECT_EQ(DetailOf(sinks)->reason, "NOT_FINITE");
}

TEST_F(AttendHandlerTest, ASetOfOtherKeysThanTheValuesIsNamed) {
  test::KeepSet(registry_, "a", {.n = 12, .d = 3, .heads = 2});
  v1::AttendRequest request = test::ValidAttendRequest();
  request.mutable_universal_set()->set_name("universalSets/a");
  request.clear_epsilon();
  v1::AttendResponse response;
  const absl::Status status =
      Handle(request, std::chrono::seconds(30), &response);
  EXPECT_EQ(DetailOf(status)->reason, "WRONG_SHAPE");
  EXPECT_EQ(DetailOf(status)->field, "values.dense.shape[1]");
  request.mutable_universal_set()->set_name("universalSets/b");
  EXPECT_EQ(Handle(request, std::chrono::seconds(30), &response).code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace steelyard::server
