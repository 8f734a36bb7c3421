// StreamQueryHeavy: blocks in order, in parts, from keys that were made ready
// once; and how such a stream ends.
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/convert/valid_requests.h"
#include "tests/support_server/caller.h"
#include "tests/support_server/query_caller.h"
#include "tests/support_server/requests.h"
#include "tests/support_server/running_server.h"

namespace steelyard::test {
namespace {

using Request = v1::StreamQueryHeavyRequest;
using Response = v1::StreamQueryHeavyResponse;

constexpr std::int64_t kKeys = 200;
constexpr std::int64_t kColumns = 6;

v1::QueryHeavyRequest OpenRequest() {
  v1::QueryHeavyRequest open;
  *open.mutable_keys()->mutable_dense() = NormalTensor(kKeys, kColumns, 21);
  open.set_epsilon(0.02);
  return open;
}

Request Open(const v1::QueryHeavyRequest& open = OpenRequest()) {
  Request request;
  *request.mutable_open() = open;
  return request;
}

Request Block(std::int64_t id, std::int64_t rows) {
  Request request;
  request.mutable_block()->set_id(id);
  *request.mutable_block()->mutable_queries() =
      NormalTensor(rows, kColumns, static_cast<std::uint64_t>(100 + id));
  return request;
}

class QueryStreamsTest : public testing::Test {
 protected:
  // Sends these messages and nothing more.
  grpc::Status Send(const std::vector<Request>& requests,
                    std::vector<Response>* responses = nullptr) {
    grpc::ClientContext context;
    const auto stream = queries_.StreamQueryHeavy(&context);
    for (const Request& request : requests) {
      if (!stream->Write(request)) break;
    }
    stream->WritesDone();
    Response response;
    while (stream->Read(&response)) {
      if (responses != nullptr) responses->push_back(response);
    }
    return stream->Finish();
  }

  RunningServer running_;
  const Caller caller_{running_.address()};
  const QueryCaller queries_{running_.address()};
};

TEST_F(QueryStreamsTest, BlocksAreAnsweredInOrderAsSingleRequestsAre) {
  std::vector<Request> requests = {Open()};
  for (int b = 0; b < 20; ++b) requests.push_back(Block(7 * b - 3, 1 + b % 5));
  std::vector<Response> responses;
  const grpc::Status status = Send(requests, &responses);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(responses.size(), 20u);
  for (std::size_t b = 0; b < responses.size(); ++b) {
    const v1::QueryBlock& block = requests[b + 1].block();
    EXPECT_EQ(responses[b].id(), block.id());
    EXPECT_EQ(responses[b].first_row(), 0);
    EXPECT_TRUE(responses[b].last());
    v1::QueryHeavyRequest single = OpenRequest();
    *single.mutable_queries() = block.queries();
    v1::QueryHeavyResponse expected;
    ASSERT_TRUE(queries_.QueryHeavy(single, &expected).ok());
    ASSERT_EQ(responses[b].part().rows_size(), expected.rows_size());
    for (int r = 0; r < expected.rows_size(); ++r) {
      EXPECT_EQ(responses[b].part().rows(r).SerializeAsString(),
                expected.rows(r).SerializeAsString());
    }
  }
  EXPECT_EQ(caller_.MemoryReservedAtLast(), 0);
}

// Every answer comes before the next block is sent: nothing waits for more.
TEST_F(QueryStreamsTest, AnAnswerDoesNotWaitForTheNextBlock) {
  grpc::ClientContext context;
  const auto stream = queries_.StreamQueryHeavy(&context);
  ASSERT_TRUE(stream->Write(Open()));
  Response response;
  for (int b = 0; b < 5; ++b) {
    ASSERT_TRUE(stream->Write(Block(b, 3)));
    ASSERT_TRUE(stream->Read(&response));
    EXPECT_EQ(response.id(), b);
    EXPECT_GT(caller_.MemoryReserved(), 0) << "the set is held";
  }
  stream->WritesDone();
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(caller_.MemoryReservedAtLast(), 0);
}

TEST_F(QueryStreamsTest, ALargeAnswerComesInPartsOfOneMebibyte) {
  v1::QueryHeavyRequest open = OpenRequest();
  open.set_epsilon(1e-5);  // nearly every key of every query
  for (const bool packed : {false, true}) {
    open.set_packed(packed);
    std::vector<Response> responses;
    const grpc::Status status = Send({Open(open), Block(5, 1500)}, &responses);
    ASSERT_TRUE(status.ok()) << status.error_message();
    ASSERT_GT(responses.size(), 3u);
    std::int64_t rows = 0;
    for (std::size_t p = 0; p < responses.size(); ++p) {
      EXPECT_LE(responses[p].ByteSizeLong(), std::size_t{1} << 20);
      EXPECT_EQ(responses[p].id(), 5);
      EXPECT_EQ(responses[p].first_row(), rows);
      EXPECT_EQ(responses[p].last(), p + 1 == responses.size());
      rows += packed ? responses[p].part().packed().row_offsets().shape(0) - 1
                     : responses[p].part().rows_size();
    }
    EXPECT_EQ(rows, 1500);
  }
}

TEST_F(QueryStreamsTest, EveryKindOfSourceAnswers) {
  std::vector<v1::QueryHeavyRequest> opens(4, OpenRequest());
  opens[0].mutable_function()->mutable_power()->set_p(3.0);
  opens[1].mutable_function()->mutable_softmax()->set_mode(
      v1::SOFTMAX_MODE_CERTIFIED);
  opens[2].mutable_function()->mutable_softmax()->set_mode(
      v1::SOFTMAX_MODE_HEURISTIC);
  opens[3].set_causal(true);
  for (const v1::QueryHeavyRequest& open : opens) {
    SCOPED_TRACE(open.function().ShortDebugString());
    Request block = Block(1, 2);
    if (open.causal()) {
      block.mutable_block()->add_positions(0);
      block.mutable_block()->add_positions(150);
    }
    std::vector<Response> responses;
    const grpc::Status status = Send({Open(open), block, block}, &responses);
    ASSERT_TRUE(status.ok()) << status.error_message();
    ASSERT_EQ(responses.size(), 2u);
    v1::QueryHeavyRequest single = open;
    *single.mutable_queries() = block.block().queries();
    *single.mutable_positions() = block.block().positions();
    v1::QueryHeavyResponse expected;
    ASSERT_TRUE(queries_.QueryHeavy(single, &expected).ok());
    for (const Response& response : responses) {
      ASSERT_EQ(response.part().rows_size(), 2);
      for (int r = 0; r < 2; ++r) {
        // Intervals of a set may keep more than exact scores, and never less.
        EXPECT_THAT(
            std::vector<std::int64_t>(response.part().rows(r).indices().begin(),
                                      response.part().rows(r).indices().end()),
            testing::IsSupersetOf(expected.rows(r).indices()));
      }
    }
  }
}

struct BadStream {
  std::string name;
  std::vector<Request> requests;
  std::string reason;
  std::string field;
};

std::vector<BadStream> BadStreams() {
  v1::QueryHeavyRequest with_queries = OpenRequest();
  *with_queries.mutable_queries() = NormalTensor(2, kColumns);
  v1::QueryHeavyRequest no_epsilon = OpenRequest();
  no_epsilon.clear_epsilon();
  v1::QueryHeavyRequest nan_keys = OpenRequest();
  nan_keys.mutable_keys()->mutable_dense()->mutable_data()->replace(80, 8, 8,
                                                                    '\xff');
  Request narrow = Block(2, 2);
  *narrow.mutable_block()->mutable_queries() = NormalTensor(2, kColumns - 1);
  Request nan = Block(2, 2);
  nan.mutable_block()->mutable_queries()->mutable_data()->replace(24, 8, 8,
                                                                  '\xff');
  Request placed = Block(2, 2);
  placed.mutable_block()->add_positions(1);
  placed.mutable_block()->add_positions(2);
  return {
      {"nothing", {}, "MESSAGE_OUT_OF_ORDER", "open"},
      {"block first", {Block(1, 2), Open()}, "MESSAGE_OUT_OF_ORDER", "block"},
      {"two opens", {Open(), Open()}, "MESSAGE_OUT_OF_ORDER", "open"},
      {"an empty message", {Open(), Request()}, "FIELD_REQUIRED", "block"},
      {"queries in open",
       {Open(with_queries)},
       "CONFLICTING_FIELDS",
       "open.queries"},
      {"no epsilon", {Open(no_epsilon)}, "FIELD_REQUIRED", "open.epsilon"},
      {"NaN in keys", {Open(nan_keys)}, "NOT_FINITE", "open.keys.dense.data"},
      {"narrow block",
       {Open(), Block(1, 2), narrow},
       "WRONG_SHAPE",
       "block.queries.shape[1]"},
      {"NaN in a block",
       {Open(), Block(1, 2), nan},
       "NOT_FINITE",
       "block.queries.data"},
      {"positions", {Open(), placed}, "CONFLICTING_FIELDS", "block.positions"},
  };
}

TEST_F(QueryStreamsTest, ABadMessageEndsTheStreamAndIsNamed) {
  for (const BadStream& bad : BadStreams()) {
    SCOPED_TRACE(bad.name);
    std::vector<Response> responses;
    const grpc::Status status = Send(bad.requests, &responses);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(ReasonOf(status), bad.reason) << status.error_message();
    EXPECT_EQ(FieldOf(status), bad.field) << status.error_message();
    // Whole answers of the blocks before, and nothing else.
    for (const Response& response : responses) EXPECT_TRUE(response.last());
    EXPECT_EQ(caller_.MemoryReservedAtLast(), 0);
  }
}

TEST_F(QueryStreamsTest, BytesThatAreNoMessageDoNotPassForAnEnd) {
  const std::string open = Open().SerializeAsString();
  for (const std::string& bytes :
       {std::string("\x0a\xff\xff"), open.substr(0, open.size() / 2)}) {
    EXPECT_EQ(queries_.StreamBytes(open, bytes).error_code(),
              grpc::StatusCode::INTERNAL);
    EXPECT_EQ(queries_.StreamBytes(bytes, open).error_code(),
              grpc::StatusCode::INTERNAL);
  }
  EXPECT_EQ(caller_.MemoryReservedAtLast(), 0);
}

// At every place of the conversation.
TEST_F(QueryStreamsTest, ACallerThatVanishesLeavesNothingBehind) {
  for (int place = 0; place < 6; ++place) {
    grpc::ClientContext context;
    const auto stream = queries_.StreamQueryHeavy(&context);
    if (place > 0) stream->Write(Open());
    if (place > 1) stream->Write(Block(1, 500));
    Response response;
    if (place > 2) stream->Read(&response);
    if (place > 3) stream->Write(Block(2, 500));
    if (place > 4) stream->WritesDone();
    context.TryCancel();
    while (stream->Read(&response)) continue;
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
    EXPECT_EQ(caller_.MemoryReservedAtLast(), 0);
  }
}

TEST_F(QueryStreamsTest, ADeadlineEndsAStreamThatWaits) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::milliseconds(300));
  const auto stream = queries_.StreamQueryHeavy(&context);
  ASSERT_TRUE(stream->Write(Open()));
  Response response;
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(caller_.MemoryReservedAtLast(), 0);
}

TEST_F(QueryStreamsTest, ADrainEndsStreamsThatWait) {
  grpc::ClientContext context;
  const auto stream = queries_.StreamQueryHeavy(&context);
  ASSERT_TRUE(stream->Write(Open()));
  ASSERT_TRUE(stream->Write(Block(1, 2)));
  Response response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_TRUE(running_.server().Drain([](absl::Duration time) {
    std::this_thread::sleep_for(absl::ToChronoMilliseconds(time));
    return false;
  }));
  EXPECT_FALSE(stream->Read(&response));
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ReasonOf(status), "DRAINING");
}

}  // namespace
}  // namespace steelyard::test
