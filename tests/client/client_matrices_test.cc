// The calls that name stored matrices, against a server that keeps them.
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/client/client.h"
#include "tests/client/support/fake_matrices.h"

namespace steelyard::client {
namespace {

using test::FakeCall;
using test::FakeMatrices;
using test::FakeReply;
using test::FakeServer;

class ClientMatricesTest : public testing::Test {
 protected:
  Client client() const { return *Client::Create(server_.address()); }

  const std::vector<double> numbers_ = {1, 2, 3, 4, 5, 6};
  const FakeMatrices matrices_;
  const FakeServer server_{matrices_.Handlers()};
};

TEST_F(ClientMatricesTest, AllPagesAreOneList) {
  for (const char* id : {"d", "a", "c", "e", "b"}) {
    ASSERT_TRUE(client().UploadMatrix(id, {numbers_, {3, 2}}).ok());
  }
  const auto all = client().ListMatrices();
  ASSERT_TRUE(all.ok()) << all.status();
  std::vector<std::string> names;
  for (const MatrixInfo& info : *all) names.push_back(info.name);
  EXPECT_THAT(names,
              testing::ElementsAre("matrices/a", "matrices/b", "matrices/c",
                                   "matrices/d", "matrices/e"));
  const auto page = client().ListMatricesPage(2, "c");
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->matrices.size(), 2U);
  EXPECT_EQ(page->matrices[0].name, "matrices/d");
  EXPECT_EQ(page->next_page_token, "");
}

TEST_F(ClientMatricesTest, GetStatusDelete) {
  ASSERT_TRUE(client().UploadMatrix("a", {numbers_, {3, 2}}).ok());
  const auto info = client().GetMatrix("a");
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->size_bytes, 48);
  EXPECT_THAT(std::get<DenseLayout>(info->layout).shape,
              testing::ElementsAre(3, 2));
  EXPECT_EQ(info->create_time,
            std::chrono::system_clock::from_time_t(1'000'000'000));
  const auto status = client().GetUploadStatus("matrices/a");
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_TRUE(status->complete);
  EXPECT_EQ(status->committed_size, 48);
  EXPECT_TRUE(client().DeleteMatrix("a").ok());
  EXPECT_TRUE(absl::IsNotFound(client().DeleteMatrix("a")));
  EXPECT_TRUE(absl::IsNotFound(client().GetMatrix("a").status()));
  EXPECT_TRUE(absl::IsNotFound(client().GetUploadStatus("a").status()));
}

TEST_F(ClientMatricesTest, SolveNamesThem) {
  FakeServer server({.solve = [](const FakeCall&, const auto& request,
                                 v1::SolveResponse* response) {
    EXPECT_EQ(request.a().matrix(), "matrices/flights");
    EXPECT_EQ(request.b_matrix(), "matrices/delays");
    EXPECT_EQ(request.sketch().kind(), v1::SKETCH_KIND_SPARSE_SIGN);
    EXPECT_EQ(request.sketch().rows(), 600);
    response->mutable_x()->set_dtype(v1::DTYPE_FLOAT64);
    response->mutable_x()->add_shape(1);
    response->mutable_x()->set_data(std::string(8, '\0'));
    response->mutable_report()->set_factor_cache_hit(true);
    return FakeReply{};
  }});
  const auto solution =
      Client::Create(server.address())
          ->Solve(StoredMatrix("flights"), StoredMatrix("matrices/delays"),
                  LeftGramPower{1},
                  {.method = Method::kSketch,
                   .sketch = SketchOptions{.kind = SketchKind::kSparseSign,
                                           .rows = 600}});
  ASSERT_TRUE(solution.ok()) << solution.status();
  EXPECT_TRUE(solution->report.factor_cache_hit);
}

TEST_F(ClientMatricesTest, KeysAndValuesMayBeStored) {
  FakeServer server(
      {.find_universal_set = [](const FakeCall&, const auto& request,
                                auto*) -> FakeReply {
         EXPECT_EQ(request.keys().matrix(), "matrices/k");
         return {};
       },
       .query_heavy = [](const FakeCall&, const auto& request,
                         auto*) -> FakeReply {
         EXPECT_EQ(request.keys().matrix(), "matrices/k");
         return {};
       },
       .attend = [](const FakeCall&, const auto& request,
                    v1::AttendResponse* response) -> FakeReply {
         EXPECT_EQ(request.keys().matrix(), "matrices/k");
         EXPECT_EQ(request.values().matrix(), "matrices/v");
         *response->mutable_output() = request.queries();
         response->add_attended(1);
         return {};
       }});
  const auto client = Client::Create(server.address());
  const std::vector<double> query = {1, 2};
  EXPECT_TRUE(
      client->FindUniversalSet(StoredMatrix("k"), {.epsilon = 0.1}).ok());
  EXPECT_TRUE(client->QueryHeavy(StoredMatrix("k"), {query, {1, 2}}, {}).ok());
  const auto attention = client->Attend({.keys = StoredMatrix("k"),
                                         .values = StoredMatrix("v"),
                                         .queries = {query, {1, 2}}},
                                        {});
  EXPECT_TRUE(attention.ok()) << attention.status();
}

TEST_F(ClientMatricesTest, PositionsCountFromTheLastStoredValue) {
  test::FakeHandlers handlers = matrices_.Handlers();
  handlers.stream_attend = [](const FakeCall&, const auto& stream) {
    v1::StreamAttendRequest request;
    EXPECT_TRUE(stream.read(&request));
    EXPECT_TRUE(stream.read(&request));
    EXPECT_THAT(request.block().positions(), testing::ElementsAre(2));
    v1::StreamAttendResponse response;
    response.set_id(request.block().id());
    response.set_last(true);
    *response.mutable_part()->mutable_output() = request.block().queries();
    response.mutable_part()->add_attended(1);
    stream.write(response);
    return FakeReply{};
  };
  const FakeServer server(handlers);
  const auto client = Client::Create(server.address());
  ASSERT_TRUE(client->UploadMatrix("v", {numbers_, {3, 2}}).ok());
  const std::vector<double> query = {1, 2};
  const auto attention = client->StreamAttend({.keys = StoredMatrix("v"),
                                               .values = StoredMatrix("v"),
                                               .queries = {query, {1, 2}}},
                                              {.causal = true});
  EXPECT_TRUE(attention.ok()) << attention.status();
}

}  // namespace
}  // namespace steelyard::client
