// Solve and StreamSolve on systems whose answer is known, and what a stream
// promises about its messages.
#include <cstring>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support_server/caller.h"
#include "tests/support_server/requests.h"
#include "tests/support_server/running_server.h"

namespace steelyard::test {
namespace {

using ::testing::HasSubstr;

// What default clients accept, bytes.
constexpr std::size_t kDefaultMessageMax = 4 << 20;
constexpr std::size_t kChunkMax = 1 << 20;

class RegressionServiceTest : public testing::Test {
 protected:
  RunningServer running_;
  const Caller caller_{running_.address()};
};

std::vector<double> Numbers(const std::string& bytes) {
  std::vector<double> numbers(bytes.size() / sizeof(double));
  std::memcpy(numbers.data(), bytes.data(), numbers.size() * sizeof(double));
  return numbers;
}

// I x = b in every power family: x = b, without rounding.
v1::SolveRequest IdentityRequest(std::int64_t d, std::int64_t k) {
  v1::SolveRequest request;
  *request.mutable_a()->mutable_dense() = IdentityTensor(d);
  *request.mutable_b() = NormalTensor(d, k);
  request.mutable_gram_power()->set_exponent(2);
  return request;
}

TEST_F(RegressionServiceTest, TheIdentityReturnsTheRightHandSide) {
  const v1::SolveRequest request = IdentityRequest(5, 2);
  grpc::ClientContext context;
  v1::SolveResponse response;
  const grpc::Status status = caller_.Solve(&context, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.report().termination(), v1::TERMINATION_CONVERGED);
  EXPECT_EQ(Numbers(response.x().data()), Numbers(request.b().data()));
  EXPECT_EQ(response.report().rank(), 5);
  EXPECT_EQ(caller_.MemoryReserved(), 0);
}

TEST_F(RegressionServiceTest, TheSeedIsEchoedOrChosenOnceAServer) {
  const auto seed_of = [&](const v1::SolveRequest& request) {
    grpc::ClientContext context;
    v1::SolveResponse response;
    EXPECT_TRUE(caller_.Solve(&context, request, &response).ok());
    return response.report().seed();
  };
  v1::SolveRequest request = IdentityRequest(2, 1);
  // One for the life of a server, so that kept sketches serve again. Another
  // one is chosen elsewhere: 0 has probability 5e-20.
  const std::uint64_t chosen = seed_of(request);
  EXPECT_EQ(seed_of(request), chosen);
  EXPECT_NE(chosen, 0u);
  request.set_seed(7);
  EXPECT_EQ(seed_of(request), 7u);
}

TEST_F(RegressionServiceTest, TooLargeAnAnswerIsRefusedAndNamesTheStream) {
  v1::SolveRequest request = IdentityRequest(8, 4);
  request.set_max_response_bytes(100);
  grpc::ClientContext context;
  v1::SolveResponse response;
  const grpc::Status status = caller_.Solve(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_details(), HasSubstr("RESPONSE_TOO_LARGE"));
  EXPECT_THAT(status.error_message(), HasSubstr("StreamSolve"));
}

TEST_F(RegressionServiceTest, AStreamBeginsWithProgressAndEndsWithTheResult) {
  const v1::SolveRequest request = IdentityRequest(5, 1);
  std::vector<v1::SolveEvent> events;
  grpc::ClientContext context;
  const grpc::Status status =
      caller_.StreamSolve(&context, request, [&](const v1::SolveEvent& event) {
        events.push_back(event);
        return true;
      });
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_GE(events.size(), 2u);
  EXPECT_TRUE(events.front().has_progress());
  ASSERT_TRUE(events.back().has_result());
  EXPECT_EQ(Numbers(events.back().result().x().data()),
            Numbers(request.b().data()));
}

TEST_F(RegressionServiceTest, AStreamedAnswerOfAnySizeComesInSmallMessages) {
  // x has 64 x 2100 numbers: more than 1 MiB.
  const v1::SolveRequest request = IdentityRequest(64, 2100);
  std::string x;
  v1::SolveResponse result;
  grpc::ClientContext context;
  const grpc::Status status =
      caller_.StreamSolve(&context, request, [&](const v1::SolveEvent& event) {
        EXPECT_LE(event.ByteSizeLong(), kDefaultMessageMax);
        EXPECT_FALSE(result.has_report()) << "the result must come last";
        if (event.has_x_chunk()) {
          EXPECT_EQ(event.x_chunk().offset(),
                    static_cast<std::int64_t>(x.size()));
          EXPECT_LE(event.ByteSizeLong(), kChunkMax);
          x += event.x_chunk().data();
        }
        if (event.has_result()) result = event.result();
        return true;
      });
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_TRUE(result.has_report());
  EXPECT_EQ(result.x().data(), "");
  EXPECT_EQ(Numbers(x), Numbers(request.b().data()));
}

TEST_F(RegressionServiceTest, ATimeLimitReturnsTheBestSoFarWithProgressBefore) {
  v1::SolveRequest request = EndlessRequest();
  request.mutable_time_limit()->set_seconds(1);
  int messages = 0;
  double fraction = 0.0;
  v1::SolveResponse result;
  grpc::ClientContext context;
  const grpc::Status status =
      caller_.StreamSolve(&context, request, [&](const v1::SolveEvent& event) {
        if (event.has_progress()) {
          ++messages;
          EXPECT_GE(event.progress().fraction(), fraction);
          fraction = event.progress().fraction();
          EXPECT_LE(fraction, 1.0);
        }
        if (event.has_result()) result = event.result();
        return true;
      });
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_GE(messages, 2);
  EXPECT_EQ(result.report().termination(), v1::TERMINATION_TIME_LIMIT);
  EXPECT_EQ(result.x().shape(0), 20000);
}

}  // namespace
}  // namespace steelyard::test
