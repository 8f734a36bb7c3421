// The two RPCs of UniversalSetService on matrices whose answer is known.
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support_server/caller.h"
#include "tests/support_server/requests.h"
#include "tests/support_server/running_server.h"

namespace steelyard::test {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class UniversalSetServiceTest : public testing::Test {
 protected:
  RunningServer running_;
  const Caller caller_{running_.address()};
};

TEST_F(UniversalSetServiceTest, EveryKeyOfTheIdentityMatters) {
  v1::FindUniversalSetRequest request;
  *request.mutable_keys()->mutable_dense() = IdentityTensor(4);
  request.set_epsilon(0.5);
  grpc::ClientContext context;
  v1::FindUniversalSetResponse response;
  const grpc::Status status =
      caller_.FindUniversalSet(&context, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response.sets_size(), 1);
  const v1::UniversalSet& set = response.sets(0);
  EXPECT_THAT(set.indices(), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(set.sensitivities(), Each(1.0));
  EXPECT_EQ(set.rank(), 4);
  EXPECT_EQ(set.keys(), 4);
  EXPECT_EQ(set.size_bound(), 8.0);
  EXPECT_TRUE(set.exact());
  EXPECT_GT(response.compute_time().nanos(), 0);
  EXPECT_EQ(caller_.MemoryReserved(), 0);
}

TEST_F(UniversalSetServiceTest, AQueryAlongAKeyFindsThatKey) {
  v1::QueryHeavyRequest request;
  *request.mutable_keys()->mutable_dense() = IdentityTensor(3);
  *request.mutable_queries() = IdentityTensor(3);
  request.set_epsilon(0.5);
  grpc::ClientContext context;
  v1::QueryHeavyResponse response;
  const grpc::Status status = caller_.QueryHeavy(&context, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response.rows_size(), 3);
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(response.rows(i).indices(), ElementsAre(i));
    EXPECT_THAT(response.rows(i).scores(), ElementsAre(1.0));
  }
}

TEST_F(UniversalSetServiceTest, ARefusalNamesFieldValueAndRule) {
  v1::FindUniversalSetRequest request;
  *request.mutable_keys()->mutable_dense() = IdentityTensor(4);
  request.set_epsilon(2.0);
  grpc::ClientContext context;
  v1::FindUniversalSetResponse response;
  const grpc::Status status =
      caller_.FindUniversalSet(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("epsilon"));
  EXPECT_THAT(status.error_details(), HasSubstr("FIELD_OUT_OF_RANGE"));
}

TEST_F(UniversalSetServiceTest, MoreMemoryThanTheBudgetIsRefusedForGood) {
  server::ServerConfig config = TestConfig();
  config.memory_budget = 1000;
  RunningServer small(config);
  const Caller caller(small.address());
  grpc::ClientContext context;
  v1::FindUniversalSetResponse response;
  const grpc::Status status =
      caller.FindUniversalSet(&context, UniversalSetRequest(100, 8), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_details(), HasSubstr("LIMIT_EXCEEDED"));
  EXPECT_THAT(status.error_details(), Not(HasSubstr("RetryInfo")));
}

TEST_F(UniversalSetServiceTest, AMessageOverTheLimitIsRefused) {
  server::ServerConfig config = TestConfig();
  config.limits.request_bytes_max = 10'000;
  RunningServer small(config);
  const Caller caller(small.address());
  grpc::ClientContext context;
  v1::FindUniversalSetResponse response;
  const grpc::Status status =
      caller.FindUniversalSet(&context, UniversalSetRequest(200, 8), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(UniversalSetServiceTest, CompressedMessagesAreRefused) {
  grpc::ClientContext context;
  context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
  v1::FindUniversalSetResponse response;
  const grpc::Status status = caller_.FindUniversalSet(
      &context, UniversalSetRequest(100, 8), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

}  // namespace
}  // namespace steelyard::test
