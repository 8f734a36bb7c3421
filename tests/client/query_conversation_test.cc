// Blocks of queries and their answers, when all is well and when it is not.
#include "client/src/query_conversation.h"

#include <numeric>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/client/client.h"
#include "tests/client/support/fake_server.h"

namespace steelyard::client {
namespace {

using test::FakeCall;
using test::FakeReply;
using test::FakeServer;
using test::FakeStream;
using test::Refusal;
using testing::ElementsAre;
using namespace std::chrono_literals;

using HeavyStream =
    FakeStream<v1::StreamQueryHeavyRequest, v1::StreamQueryHeavyResponse>;

// Row i of a block gets the score that is its query's first number; in parts of
// two rows.
bool AnswerBlock(const v1::QueryBlock& block, const HeavyStream& stream) {
  const int rows = static_cast<int>(block.queries().shape(0));
  for (int first = 0; first < rows; first += 2) {
    v1::StreamQueryHeavyResponse response;
    response.set_id(block.id());
    response.set_first_row(first);
    for (int i = first; i < std::min(first + 2, rows); ++i) {
      double score = 0;
      std::memcpy(
          &score,
          block.queries().data().data() + static_cast<std::size_t>(i) * 8, 8);
      response.mutable_part()->add_rows()->add_scores(score);
    }
    response.set_last(first + 2 >= rows);
    if (!stream.write(response)) return false;
  }
  return true;
}

Client ClientOf(const FakeServer& server) {
  return *Client::Create(
      server.address(),
      {.retry = {.attempts_max = 4, .first_delay = 1ms, .delay_max = 10ms}});
}

// Three blocks of 3, 4 and 5 queries of one column.
class Blocks {
 public:
  Blocks() : numbers_(12) { std::iota(numbers_.begin(), numbers_.end(), 0.0); }

  std::optional<QueryBlock> operator()(std::int64_t number) const {
    asked.push_back(number);
    if (number >= 3) return std::nullopt;
    const std::int64_t first[] = {0, 3, 7};
    return QueryBlock{
        TensorView(numbers_, {12, 1}).Rows(first[number], 3 + number)};
  }

  mutable std::vector<std::int64_t> asked;

 private:
  std::vector<double> numbers_;
};

TEST(QueryConversationTest, BlocksAreAnsweredInOrder) {
  FakeServer server(
      {.stream_query_heavy = [](const FakeCall&, const HeavyStream& stream) {
        v1::StreamQueryHeavyRequest request;
        EXPECT_TRUE(stream.read(&request));
        EXPECT_EQ(request.open().epsilon(), 0.5);
        EXPECT_EQ(request.open().universal_set().name(), "universalSets/u");
        EXPECT_FALSE(request.open().has_max_response_bytes());
        while (stream.read(&request)) AnswerBlock(request.block(), stream);
        return FakeReply{};
      }});
  const Blocks blocks;
  std::vector<std::int64_t> numbers;
  std::vector<double> scores;
  const absl::Status status = ClientOf(server).StreamQueryHeavy(
      KeptSet("u"), std::cref(blocks), {.epsilon = 0.5},
      [&](std::int64_t number, const HeavyScores& block) {
        numbers.push_back(number);
        for (const HeavyRow& row : block.rows) {
          scores.push_back(row.scores[0]);
        }
      });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(numbers, ElementsAre(0, 1, 2));
  EXPECT_THAT(scores, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11));
  EXPECT_THAT(blocks.asked, ElementsAre(0, 1, 2, 3));
}

TEST(QueryConversationTest, ABrokenCallGoesOnWithTheFirstUnansweredBlock) {
  // Breaks in the middle of the second block.
  FakeServer server({.stream_query_heavy = [](const FakeCall& call,
                                              const HeavyStream& stream) {
    v1::StreamQueryHeavyRequest request;
    stream.read(&request);
    EXPECT_TRUE(request.has_open());
    while (stream.read(&request)) {
      if (call.number == 1 && request.block().id() == 1) {
        v1::StreamQueryHeavyResponse response;
        response.set_id(1);
        response.mutable_part()->add_rows()->add_scores(99);
        stream.write(response);
        return Refusal(14, "broken");
      }
      AnswerBlock(request.block(), stream);
    }
    return FakeReply{};
  }});
  const Blocks blocks;
  std::vector<double> scores;
  const absl::Status status = ClientOf(server).StreamQueryHeavy(
      KeptSet("u"), std::cref(blocks), {},
      [&](std::int64_t, const HeavyScores& block) {
        for (const HeavyRow& row : block.rows) {
          scores.push_back(row.scores[0]);
        }
      });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(scores, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11));
  EXPECT_EQ(server.calls(), 2);
}

// Each answer is wrong in its own way, and none is tried again.
TEST(QueryConversationTest, AnswersThatBreakTheContractAreNoticed) {
  const auto status_of = [](const auto& change) {
    FakeServer server(
        {.stream_query_heavy = [&](const FakeCall&, const HeavyStream& stream) {
          v1::StreamQueryHeavyRequest request;
          stream.read(&request);
          while (stream.read(&request)) {
            v1::StreamQueryHeavyResponse response;
            response.set_id(request.block().id());
            for (int i = 0; i < request.block().queries().shape(0); ++i) {
              response.mutable_part()->add_rows();
            }
            response.set_last(true);
            if (change(&response)) stream.write(response);
          }
          return FakeReply{};
        }});
    const absl::Status status = ClientOf(server).StreamQueryHeavy(
        KeptSet("u"), Blocks(), {}, [](std::int64_t, const HeavyScores&) {});
    EXPECT_EQ(server.calls(), 1);
    return status;
  };
  using Response = v1::StreamQueryHeavyResponse;
  EXPECT_TRUE(status_of([](Response*) { return true; }).ok());
  EXPECT_TRUE(absl::IsInternal(status_of([](Response*) { return false; })));
  EXPECT_TRUE(absl::IsInternal(status_of([](Response* response) {
    response->set_id(response->id() + 1);
    return true;
  })));
  EXPECT_TRUE(absl::IsInternal(status_of([](Response* response) {
    response->set_first_row(1);
    return true;
  })));
  EXPECT_TRUE(absl::IsInternal(status_of([](Response* response) {
    response->mutable_part()->add_rows();
    return true;
  })));
  EXPECT_TRUE(absl::IsInternal(status_of([](Response* response) {
    response->mutable_part()->mutable_rows()->RemoveLast();
    return true;
  })));
}

TEST(QueryConversationTest, AWrongBlockEndsTheCall) {
  FakeServer server(
      {.stream_query_heavy = [](const FakeCall&, const HeavyStream& stream) {
        v1::StreamQueryHeavyRequest request;
        while (stream.read(&request)) {
        }
        return FakeReply{};
      }});
  const std::vector<double> six(6);
  const absl::Status status = ClientOf(server).StreamQueryHeavy(
      KeptSet("u"),
      [&](std::int64_t) {
        return QueryBlock{TensorView(six, {2, 4})};
      },
      {}, [](std::int64_t, const HeavyScores&) {});
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_EQ(DetailOf(status)->field, "block.queries");
}

TEST(QueryConversationTest, PositionsCountFromTheLastKeyWhereTheyMatter) {
  const Eigen::MatrixXf values = Eigen::MatrixXf::Zero(5, 2);
  const Eigen::MatrixXf queries = Eigen::MatrixXf::Zero(3, 2);
  const AttendInputs inputs{.values = values, .queries = queries};
  EXPECT_THAT(PositionsOrLast(inputs, {}, 5), testing::IsEmpty());
  EXPECT_THAT(PositionsOrLast(inputs, {.causal = true}, 5),
              ElementsAre(2, 3, 4));
  EXPECT_THAT(PositionsOrLast(inputs, {.local = Window{1}}, 5),
              ElementsAre(2, 3, 4));
  EXPECT_THAT(
      PositionsOrLast(inputs, {.causal = true, .positions = {0, 1, 2}}, 5),
      ElementsAre(0, 1, 2));
}

}  // namespace
}  // namespace steelyard::client
