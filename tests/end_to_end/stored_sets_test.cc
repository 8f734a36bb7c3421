// Sets under a name: found and kept, told, listed, read, deleted, expired.
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support_server/caller.h"
#include "tests/support_server/requests.h"
#include "tests/support_server/running_server.h"
#include "tests/support_server/set_caller.h"

namespace steelyard::test {
namespace {

using ::testing::ElementsAre;

v1::FindUniversalSetRequest KeptRequest(const std::string& id) {
  v1::FindUniversalSetRequest request = UniversalSetRequest(200, 8);
  request.set_set_id(id);
  return request;
}

// 2 heads of 100 keys instead of one of 200.
void SplitHeads(v1::FindUniversalSetRequest* request) {
  v1::Tensor* const keys = request->mutable_keys()->mutable_dense();
  keys->clear_shape();
  for (const std::int64_t extent : {2, 100, 8}) keys->add_shape(extent);
}

class StoredSetsTest : public testing::Test {
 protected:
  v1::FindUniversalSetResponse Keep(const std::string& id) {
    v1::FindUniversalSetResponse response;
    const grpc::Status status = caller_.Find(KeptRequest(id), &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }

  std::int64_t SetMemory() const {
    const Caller caller(running_.address());
    grpc::ClientContext context;
    v1::ServerInfo info;
    EXPECT_TRUE(caller.GetServerInfo(&context, &info).ok());
    return info.set_memory_reserved_bytes();
  }

  RunningServer running_;
  const SetCaller caller_{running_.address()};
};

TEST_F(StoredSetsTest, AKeptSetIsToldAndReadBackAsItWasFound) {
  const v1::FindUniversalSetResponse found = Keep("keys");
  v1::UniversalSetInfo info;
  ASSERT_TRUE(caller_.Get("universalSets/keys", &info).ok());
  EXPECT_EQ(info.name(), "universalSets/keys");
  EXPECT_EQ(info.state(), v1::UniversalSetInfo::STATE_FINISHED);
  EXPECT_EQ(info.heads(), 1);
  EXPECT_EQ(info.columns(), 8);
  EXPECT_THAT(info.next_offset(), ElementsAre(200));
  EXPECT_EQ(info.epsilon(), 0.1);
  EXPECT_EQ(info.function().power().p(), 2.0);
  // 10 minutes after the last use.
  EXPECT_NEAR(static_cast<double>(info.expire_time().seconds() -
                                  info.create_time().seconds()),
              600.0, 30.0);
  EXPECT_GT(info.size_bytes(), 0);
  EXPECT_EQ(SetMemory(), info.size_bytes());

  v1::ReadUniversalSetRequest request;
  request.set_name("universalSets/keys");
  std::vector<v1::UniversalSet> parts;
  ASSERT_TRUE(caller_.Read(request, &parts).ok());
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_EQ(parts.front().SerializeAsString(),
            found.sets(0).SerializeAsString());
}

TEST_F(StoredSetsTest, ANameIsTakenOnceAndFreeAfterDelete) {
  Keep("keys");
  v1::FindUniversalSetResponse response;
  EXPECT_EQ(caller_.Find(KeptRequest("keys"), &response).error_code(),
            grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_TRUE(caller_.Delete("universalSets/keys").ok());
  EXPECT_EQ(SetMemory(), 0);
  EXPECT_EQ(caller_.Delete("universalSets/keys").error_code(),
            grpc::StatusCode::NOT_FOUND);
  v1::UniversalSetInfo info;
  EXPECT_EQ(caller_.Get("universalSets/keys", &info).error_code(),
            grpc::StatusCode::NOT_FOUND);
  EXPECT_TRUE(caller_.Find(KeptRequest("keys"), &response).ok());
}

TEST_F(StoredSetsTest, ARefusedRequestLeavesNothingBehind) {
  v1::FindUniversalSetRequest request = KeptRequest("keys");
  request.set_max_response_bytes(10);
  v1::FindUniversalSetResponse response;
  EXPECT_EQ(SetCaller::ReasonOf(caller_.Find(request, &response)),
            "RESPONSE_TOO_LARGE");
  EXPECT_EQ(SetMemory(), 0);
  EXPECT_TRUE(caller_.Find(KeptRequest("keys"), &response).ok());
}

TEST_F(StoredSetsTest, ListsInPages) {
  for (const char* id : {"c", "a", "b"}) Keep(id);
  v1::ListUniversalSetsRequest request;
  request.set_page_size(2);
  v1::ListUniversalSetsResponse first;
  ASSERT_TRUE(caller_.List(request, &first).ok());
  ASSERT_EQ(first.sets_size(), 2);
  EXPECT_EQ(first.sets(0).name(), "universalSets/a");
  request.set_page_token(first.next_page_token());
  v1::ListUniversalSetsResponse second;
  ASSERT_TRUE(caller_.List(request, &second).ok());
  ASSERT_EQ(second.sets_size(), 1);
  EXPECT_EQ(second.sets(0).name(), "universalSets/c");
  EXPECT_EQ(second.next_page_token(), "");
  request.set_page_token("nonsense");
  EXPECT_EQ(caller_.List(request, &second).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(StoredSetsTest, ASetExpires) {
  v1::FindUniversalSetRequest request = KeptRequest("keys");
  request.mutable_ttl()->set_nanos(20'000'000);
  v1::FindUniversalSetResponse response;
  ASSERT_TRUE(caller_.Find(request, &response).ok());
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (SetMemory() > 0 && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_EQ(SetMemory(), 0);
}

TEST_F(StoredSetsTest, MemoryForSetsHasABudgetOfItsOwn) {
  server::ServerConfig config = TestConfig();
  config.set_memory = 1000;
  RunningServer small(config);
  const SetCaller caller(small.address());
  v1::FindUniversalSetResponse response;
  const grpc::Status status = caller.Find(KeptRequest("keys"), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(SetCaller::ReasonOf(status), "LIMIT_EXCEEDED");
  EXPECT_TRUE(caller.Find(UniversalSetRequest(200, 8), &response).ok());
}

TEST_F(StoredSetsTest, StreamedAnswersTellProgressAndHaveTheSameSets) {
  v1::FindUniversalSetRequest request = KeptRequest("keys");
  SplitHeads(&request);
  std::vector<v1::FindUniversalSetEvent> events;
  ASSERT_TRUE(caller_.StreamFind(request, &events).ok());
  ASSERT_GE(events.size(), 3u);
  EXPECT_TRUE(events.front().has_progress());
  std::vector<v1::UniversalSet> parts;
  for (const auto& event : events) {
    if (event.has_set()) parts.push_back(event.set());
  }
  request.clear_set_id();
  v1::FindUniversalSetResponse unary;
  ASSERT_TRUE(caller_.Find(request, &unary).ok());
  const auto sets = Joined(parts);
  ASSERT_EQ(sets.size(), 2u);
  for (int head = 0; head < 2; ++head) {
    EXPECT_THAT(sets[head].indices(),
                testing::ElementsAreArray(unary.sets(head).indices()));
    EXPECT_EQ(sets[head].head(), head);
  }
  v1::UniversalSetInfo info;
  EXPECT_TRUE(caller_.Get("universalSets/keys", &info).ok());
}

TEST_F(StoredSetsTest, RaggedHeadsCountTheirOwnKeysOnly) {
  v1::FindUniversalSetRequest request = UniversalSetRequest(200, 8);
  SplitHeads(&request);
  request.add_lengths(90);
  request.add_lengths(40);
  // Padding is not read.
  std::string* const data =
      request.mutable_keys()->mutable_dense()->mutable_data();
  const std::size_t row = 8 * sizeof(double);
  data->replace(90 * row, 10 * row, 10 * row, '\xFF');
  v1::FindUniversalSetResponse response;
  const grpc::Status status = caller_.Find(request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.sets(0).keys(), 90);
  EXPECT_EQ(response.sets(1).keys(), 40);

  // A NaN in row 3 of head 1 is told with its place in the tensor.
  data->replace(103 * row, 8, 8, '\xFF');
  const grpc::Status refused = caller_.Find(request, &response);
  EXPECT_EQ(SetCaller::ReasonOf(refused), "NOT_FINITE");
  EXPECT_THAT(refused.error_message(), testing::HasSubstr("keys[103,0]"));
}

}  // namespace
}  // namespace steelyard::test
