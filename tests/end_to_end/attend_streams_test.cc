// StreamAttend: every block as Attend answers it, from keys and sets that were
// made ready once; and how such a stream ends.
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support_server/caller.h"
#include "tests/support_server/query_caller.h"
#include "tests/support_server/requests.h"
#include "tests/support_server/running_server.h"

namespace steelyard::test {
namespace {

using Request = v1::StreamAttendRequest;
using Response = v1::StreamAttendResponse;

constexpr std::int64_t kKeys = 120;
constexpr std::int64_t kColumns = 4;
constexpr std::int64_t kOutputs = 3;

v1::AttendRequest OpenRequest() {
  v1::AttendRequest open;
  *open.mutable_keys()->mutable_dense() = NormalTensor(kKeys, kColumns, 41);
  *open.mutable_values()->mutable_dense() = NormalTensor(kKeys, kOutputs, 42);
  open.set_epsilon(0.05);
  open.set_sinks(2);
  return open;
}

Request Open(const v1::AttendRequest& open = OpenRequest()) {
  Request request;
  *request.mutable_open() = open;
  return request;
}

Request Block(std::int64_t id, std::int64_t rows,
              const std::vector<std::int64_t>& positions = {}) {
  Request request;
  request.mutable_block()->set_id(id);
  *request.mutable_block()->mutable_queries() =
      NormalTensor(rows, kColumns, static_cast<std::uint64_t>(200 + id));
  request.mutable_block()->mutable_positions()->Assign(positions.begin(),
                                                       positions.end());
  return request;
}

v1::AttendRequest Alone(const v1::AttendRequest& open,
                        const v1::QueryBlock& block) {
  v1::AttendRequest single = open;
  *single.mutable_queries() = block.queries();
  *single.mutable_positions() = block.positions();
  return single;
}

class AttendStreamsTest : public testing::Test {
 protected:
  // Sends these messages and nothing more.
  grpc::Status Send(const std::vector<Request>& requests,
                    std::vector<Response>* responses) {
    grpc::ClientContext context;
    const auto stream = queries_.StreamAttend(&context);
    for (const Request& request : requests) {
      if (!stream->Write(request)) break;
    }
    stream->WritesDone();
    Response response;
    while (stream->Read(&response)) responses->push_back(response);
    return stream->Finish();
  }

  // Each block is answered as the same queries are by Attend.
  void ExpectAsAlone(const v1::AttendRequest& open,
                     const std::vector<Request>& blocks) {
    std::vector<Request> requests = {Open(open)};
    requests.insert(requests.end(), blocks.begin(), blocks.end());
    std::vector<Response> responses;
    const grpc::Status status = Send(requests, &responses);
    ASSERT_TRUE(status.ok()) << status.error_message();
    ASSERT_EQ(responses.size(), blocks.size());
    for (std::size_t b = 0; b < blocks.size(); ++b) {
      EXPECT_EQ(responses[b].id(), blocks[b].block().id());
      EXPECT_EQ(responses[b].first_row(), 0);
      EXPECT_TRUE(responses[b].last());
      v1::AttendResponse alone;
      const grpc::Status single =
          queries_.Attend(Alone(open, blocks[b].block()), &alone);
      ASSERT_TRUE(single.ok()) << single.error_message();
      const v1::AttendResponse& part = responses[b].part();
      EXPECT_EQ(part.output().dtype(), alone.output().dtype());
      EXPECT_EQ(part.output().data(), alone.output().data());
      EXPECT_THAT(part.captured_mass(),
                  testing::ElementsAreArray(alone.captured_mass()));
      EXPECT_THAT(part.attended(), testing::ElementsAreArray(alone.attended()));
    }
    EXPECT_EQ(caller_.MemoryReservedAtLast(), 0);
  }

  RunningServer running_;
  const Caller caller_{running_.address()};
  const QueryCaller queries_{running_.address()};
};

TEST_F(AttendStreamsTest, BlocksAreAnsweredAsSingleRequestsAre) {
  std::vector<Request> blocks;
  for (int b = 0; b < 12; ++b) blocks.push_back(Block(5 * b - 9, 1 + b % 4));
  ExpectAsAlone(OpenRequest(), blocks);
}

TEST_F(AttendStreamsTest, EveryKindOfOpenAnswers) {
  std::vector<v1::AttendRequest> opens(8, OpenRequest());
  opens[0].mutable_function()->mutable_power()->set_p(3.0);
  opens[1].mutable_function()->mutable_softmax()->set_mode(
      v1::SOFTMAX_MODE_HEURISTIC);
  opens[2].set_causal(true);
  opens[3].set_window(7);
  opens[4].mutable_grid()->set_height(10);
  opens[4].mutable_grid()->set_width(11);
  opens[4].mutable_grid()->set_radius(2);
  opens[4].mutable_grid()->set_first(9);
  opens[5].set_normalization(v1::NORMALIZATION_ALL);
  opens[6].set_normalization(v1::NORMALIZATION_ALL);
  opens[6].set_causal(true);
  opens[6].mutable_function()->mutable_power()->set_p(3.0);
  opens[7].clear_epsilon();
  opens[7].set_top_m(6);
  opens[7].set_output_dtype(v1::DTYPE_FLOAT16);
  // Positions are taken in any case: the client cuts its queries into blocks.
  const std::vector<Request> blocks = {Block(1, 3), Block(2, 2, {40, 119}),
                                       Block(3, 3, {0, 1, 77})};
  for (const v1::AttendRequest& open : opens) {
    SCOPED_TRACE(open.function().ShortDebugString());
    ExpectAsAlone(open, blocks);
  }
}

// The cut is not seen: positions of a block are those its rows have in all.
TEST_F(AttendStreamsTest, BlocksWithPositionsAreTheWholeWithoutThem) {
  for (const bool causal : {false, true}) {
    v1::AttendRequest open = OpenRequest();
    open.set_window(5);
    open.set_causal(causal);
    const v1::Tensor queries = NormalTensor(30, kColumns, 77);
    v1::AttendRequest whole = open;
    *whole.mutable_queries() = queries;
    v1::AttendResponse expected;
    ASSERT_TRUE(queries_.Attend(whole, &expected).ok());
    std::vector<Request> requests = {Open(open)};
    constexpr std::int64_t kRows = 10;
    for (std::int64_t first = 0; first < 30; first += kRows) {
      Request request;
      v1::Tensor* const part = request.mutable_block()->mutable_queries();
      part->set_dtype(queries.dtype());
      part->add_shape(kRows);
      part->add_shape(kColumns);
      part->set_data(queries.data().substr(
          static_cast<std::size_t>(first * kColumns * 8),
          static_cast<std::size_t>(kRows * kColumns * 8)));
      for (std::int64_t i = 0; i < kRows; ++i) {
        request.mutable_block()->add_positions(kKeys - 30 + first + i);
      }
      requests.push_back(request);
    }
    std::vector<Response> responses;
    ASSERT_TRUE(Send(requests, &responses).ok());
    ASSERT_EQ(responses.size(), 3u);
    std::vector<std::int64_t> attended;
    for (const Response& response : responses) {
      attended.insert(attended.end(), response.part().attended().begin(),
                      response.part().attended().end());
    }
    EXPECT_THAT(expected.attended(), testing::ElementsAreArray(attended));
  }
}

TEST_F(AttendStreamsTest, ALargeAnswerComesInPartsOfOneMebibyte) {
  v1::AttendRequest open = OpenRequest();
  *open.mutable_values()->mutable_dense() = NormalTensor(kKeys, 200, 43);
  std::vector<Response> responses;
  const Request block = Block(5, 1500);
  const grpc::Status status = Send({Open(open), block}, &responses);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_GE(responses.size(), 3u);
  std::int64_t rows = 0;
  std::string output;
  for (std::size_t p = 0; p < responses.size(); ++p) {
    EXPECT_LE(responses[p].ByteSizeLong(), std::size_t{1} << 20);
    EXPECT_EQ(responses[p].id(), 5);
    EXPECT_EQ(responses[p].first_row(), rows);
    EXPECT_EQ(responses[p].last(), p + 1 == responses.size());
    rows += responses[p].part().output().shape(0);
    output += responses[p].part().output().data();
  }
  EXPECT_EQ(rows, 1500);
  v1::AttendRequest single = Alone(open, block.block());
  single.set_max_response_bytes(1 << 24);
  v1::AttendResponse alone;
  ASSERT_TRUE(queries_.Attend(single, &alone).ok());
  EXPECT_EQ(alone.output().data(), output);
}

// Every answer comes before the next block is sent: nothing waits for more.
TEST_F(AttendStreamsTest, AnAnswerDoesNotWaitForTheNextBlock) {
  grpc::ClientContext context;
  const auto stream = queries_.StreamAttend(&context);
  ASSERT_TRUE(stream->Write(Open()));
  Response response;
  for (int b = 0; b < 5; ++b) {
    ASSERT_TRUE(stream->Write(Block(b, 3)));
    ASSERT_TRUE(stream->Read(&response));
    EXPECT_EQ(response.id(), b);
    EXPECT_GT(caller_.MemoryReserved(), 0) << "what was gathered is held";
  }
  stream->WritesDone();
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(caller_.MemoryReservedAtLast(), 0);
}

struct BadStream {
  std::string name;
  std::vector<Request> requests;
  std::string reason;
  std::string field;
};

std::vector<BadStream> BadStreams() {
  v1::AttendRequest with_queries = OpenRequest();
  *with_queries.mutable_queries() = NormalTensor(2, kColumns);
  v1::AttendRequest with_positions = OpenRequest();
  with_positions.add_positions(1);
  v1::AttendRequest no_values = OpenRequest();
  no_values.clear_values();
  v1::AttendRequest nan_values = OpenRequest();
  nan_values.mutable_values()->mutable_dense()->mutable_data()->replace(
      80, 8, 8, '\xff');
  v1::AttendRequest local = OpenRequest();
  local.set_window(3);
  Request narrow = Block(2, 2);
  *narrow.mutable_block()->mutable_queries() = NormalTensor(2, kColumns - 1);
  Request nan = Block(2, 2);
  nan.mutable_block()->mutable_queries()->mutable_data()->replace(24, 8, 8,
                                                                  '\xff');
  return {
      {"nothing", {}, "MESSAGE_OUT_OF_ORDER", "open"},
      {"block first", {Block(1, 2), Open()}, "MESSAGE_OUT_OF_ORDER", "block"},
      {"two opens", {Open(), Open()}, "MESSAGE_OUT_OF_ORDER", "open"},
      {"an empty message", {Open(), Request()}, "FIELD_REQUIRED", "block"},
      {"queries in open",
       {Open(with_queries)},
       "CONFLICTING_FIELDS",
       "open.queries"},
      {"positions in open",
       {Open(with_positions)},
       "CONFLICTING_FIELDS",
       "open.positions"},
      {"no values", {Open(no_values)}, "FIELD_REQUIRED", "open.values"},
      {"NaN in values",
       {Open(nan_values)},
       "NOT_FINITE",
       "open.values.dense.data"},
      {"narrow block",
       {Open(), Block(1, 2), narrow},
       "WRONG_SHAPE",
       "block.queries.shape[1]"},
      {"NaN in a block",
       {Open(), Block(1, 2), nan},
       "NOT_FINITE",
       "block.queries.data"},
      {"more queries than keys near them",
       {Open(local), Block(1, kKeys + 1)},
       "FIELD_REQUIRED",
       "block.positions"},
      {"a position beyond the keys",
       {Open(local), Block(1, 2, {0, kKeys})},
       "FIELD_OUT_OF_RANGE",
       "block.positions[1]"},
  };
}

TEST_F(AttendStreamsTest, ABadMessageEndsTheStreamAndIsNamed) {
  for (const BadStream& bad : BadStreams()) {
    SCOPED_TRACE(bad.name);
    std::vector<Response> responses;
    const grpc::Status status = Send(bad.requests, &responses);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(ReasonOf(status), bad.reason) << status.error_message();
    EXPECT_EQ(FieldOf(status), bad.field) << status.error_message();
    EXPECT_EQ(caller_.MemoryReservedAtLast(), 0);
  }
}

// At every place of the conversation.
TEST_F(AttendStreamsTest, ACallerThatVanishesLeavesNothingBehind) {
  for (int place = 0; place < 6; ++place) {
    grpc::ClientContext context;
    const auto stream = queries_.StreamAttend(&context);
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

// Before an open as after one; the other stream of blocks obeys the same rule.
TEST_F(AttendStreamsTest, ASilentStreamIsEnded) {
  server::ServerConfig config = TestConfig();
  config.stream_idle = absl::Milliseconds(50);
  RunningServer impatient(config);
  const QueryCaller caller(impatient.address());
  for (const bool opened : {false, true}) {
    grpc::ClientContext context;
    const auto stream = caller.StreamAttend(&context);
    Response response;
    if (opened) {
      ASSERT_TRUE(stream->Write(Open()) && stream->Write(Block(1, 2)));
      ASSERT_TRUE(stream->Read(&response));
    }
    EXPECT_FALSE(stream->Read(&response));
    const grpc::Status status = stream->Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::ABORTED);
    EXPECT_EQ(ReasonOf(status), "STREAM_IDLE");
  }
  grpc::ClientContext context;
  const auto heavy = caller.StreamQueryHeavy(&context);
  v1::StreamQueryHeavyResponse response;
  EXPECT_FALSE(heavy->Read(&response));
  EXPECT_EQ(ReasonOf(heavy->Finish()), "STREAM_IDLE");
  EXPECT_EQ(Caller(impatient.address()).MemoryReserved(), 0);
}

}  // namespace
}  // namespace steelyard::test
