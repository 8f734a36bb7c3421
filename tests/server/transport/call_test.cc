#include "server/transport/call.h"

#include <new>
#include <stdexcept>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/v1/tensor.pb.h"

namespace steelyard::server {
namespace {

using ::testing::HasSubstr;

grpc::Status FinishWith(const std::function<absl::Status()>& handle) {
  RequestContext context({.method = "/test",
                          .request_id = "an-id",
                          .deadline = {},
                          .cancelled = {}});
  return Finish(context, handle);
}

TEST(CallTest, AFailedAllocationIsWorthARetry) {
  const grpc::Status status =
      FinishWith([]() -> absl::Status { throw std::bad_alloc(); });
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_details(), HasSubstr("RetryInfo"));
}

TEST(CallTest, NoExceptionBecomesUnknown) {
  const grpc::Status status = FinishWith(
      []() -> absl::Status { throw std::runtime_error("a surprise"); });
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_THAT(status.error_message(), HasSubstr("a surprise"));
}

TEST(CallTest, TheLineOfTheLogTellsIdMethodAndStatus) {
  testing::internal::CaptureStderr();
  EXPECT_TRUE(FinishWith([] { return absl::OkStatus(); }).ok());
  const std::string line = testing::internal::GetCapturedStderr();
  EXPECT_THAT(line, HasSubstr("\"request_id\":\"an-id\""));
  EXPECT_THAT(line, HasSubstr("\"method\":\"/test\""));
  EXPECT_THAT(line, HasSubstr("\"status\":\"OK\""));
}

TEST(CallTest, ATakenRequestIsTheSameBytesInThePlaceTheyWere) {
  auto request = std::make_unique<v1::Tensor>();
  request->set_data(std::string(1000, 'x'));
  const char* const bytes = request->data().data();
  const auto taken = TakeRequest<v1::Tensor>(request.get());
  request.reset();
  EXPECT_EQ(taken->data().data(), bytes);
  EXPECT_EQ(taken->data().size(), 1000u);
}

}  // namespace
}  // namespace steelyard::server
