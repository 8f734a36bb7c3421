#include "server/convert/query_rows.h"

#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/errors/errors.h"
#include "steelyard/status.h"
#include "tests/server/convert/valid_requests.h"

namespace steelyard::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const Limits kLimits;
const KeyShape kKeys{.heads = 2, .columns = 3, .rows = 10};

v1::Tensor Queries(const std::vector<std::int64_t>& shape) {
  v1::Tensor tensor;
  test::SetPlainTensor(shape, &tensor);
  return tensor;
}

PositionList List(std::initializer_list<std::int64_t> positions) {
  return PositionList(positions.begin(), positions.end());
}

ErrorDetail Refused(const v1::Tensor& queries, const PositionList& positions,
                    const QueryRowsRule& rule, const KeyShape& keys = kKeys) {
  const auto rows =
      QueryRowsFromProto(&queries, positions, keys, rule, kLimits);
  EXPECT_FALSE(rows.ok());
  return DetailOf(rows.status()).value_or(ErrorDetail{});
}

TEST(QueryRowsTest, HeadsOfQueriesAreAMultipleOfThoseOfKeys) {
  for (const std::int64_t heads : {2, 4, 6}) {
    const v1::Tensor queries = Queries({heads, 5, 3});
    EXPECT_TRUE(QueryRowsFromProto(&queries, {}, kKeys, {}, kLimits).ok());
  }
  EXPECT_EQ(Refused(Queries({3, 5, 3}), {}, {}).field, "queries.shape[0]");
  const v1::Tensor one_head = Queries({5, 3});
  EXPECT_EQ(
      QueryRowsFromProto(&one_head, {}, kKeys, {}, kLimits).status().message(),
      "queries.shape is one head; keys have 2 heads, and the heads of queries "
      "must be a multiple");
}

TEST(QueryRowsTest, QueriesAreRequiredAndHaveTheColumnsOfTheKeys) {
  const absl::Status none =
      QueryRowsFromProto(nullptr, {}, kKeys, {.prefix = "block."}, kLimits)
          .status();
  EXPECT_EQ(DetailOf(none)->field, "block.queries");
  const ErrorDetail columns =
      Refused(Queries({2, 5, 4}), {}, {.prefix = "block."});
  EXPECT_EQ(columns.reason, "WRONG_SHAPE");
  EXPECT_EQ(columns.field, "block.queries.shape[2]");
}

TEST(QueryRowsTest, PositionsAreOneAQueryAndAmongTheKeys) {
  const v1::Tensor queries = Queries({2, 2, 3});
  const QueryRowsRule causal{.positions_required = true};
  const auto rows =
      QueryRowsFromProto(&queries, List({0, 9}), kKeys, causal, kLimits);
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_THAT(rows->positions, ElementsAre(0, 9));
  EXPECT_EQ(rows->count(), 4.0);

  EXPECT_EQ(Refused(queries, {}, causal).reason, "FIELD_REQUIRED");
  EXPECT_EQ(Refused(queries, List({1}), causal).reason, "WRONG_SHAPE");
  for (const std::int64_t position : {-1, 10}) {
    const ErrorDetail detail = Refused(queries, List({0, position}), causal);
    EXPECT_EQ(detail.reason, "FIELD_OUT_OF_RANGE");
    EXPECT_EQ(detail.field, "positions[1]");
  }
  EXPECT_EQ(Refused(queries, List({0, 1}), {.positions_refused = true}).reason,
            "CONFLICTING_FIELDS");
  // Of a set the keys are not counted here.
  const KeyShape set{.heads = 2, .columns = 3, .rows = {}};
  EXPECT_TRUE(
      QueryRowsFromProto(&queries, List({0, 1 << 30}), set, causal, kLimits)
          .ok());
  EXPECT_EQ(Refused(queries, List({0, -1}), causal, set).reason,
            "FIELD_OUT_OF_RANGE");
}

TEST(QueryRowsTest, ErrorsOfCoreNameThePlaceInTheMessage) {
  const v1::Tensor queries = Queries({2, 2, 3});
  const auto rows =
      QueryRowsFromProto(&queries, {}, kKeys, {.prefix = "block."}, kLimits);
  ASSERT_TRUE(rows.ok());
  const absl::Status nan =
      AtQueries(NotFiniteError("queries", 1, 1, 3, std::nan("")), *rows);
  EXPECT_EQ(DetailOf(nan)->field, "block.queries.data");
  EXPECT_EQ(DetailOf(nan)->metadata.at("index"), "4");
  const absl::Status position = AtQueries(
      ErrorWithDetail(absl::StatusCode::kFailedPrecondition,
                      "positions[1] is 2; unknown",
                      {.reason = "PREFIX_UNKNOWN", .field = "positions[1]"}),
      *rows);
  EXPECT_EQ(DetailOf(position)->field, "block.positions[1]");
  EXPECT_EQ(position.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(position.message(), "block.positions[1] is 2; unknown");
  const absl::Status other = absl::CancelledError("gone");
  EXPECT_EQ(AtQueries(other, *rows), other);
}

TEST(QueryRowsTest, AMessageOfAStreamStandsBeforeItsFields) {
  const absl::Status moved = InMessage(
      OutOfRangeError("epsilon", "2", "it must be in (0, 1]"), "open");
  EXPECT_EQ(DetailOf(moved)->field, "open.epsilon");
  EXPECT_EQ(moved.message(), "open.epsilon is 2; it must be in (0, 1]");
  // Without a field, and with what else stands in a status.
  const absl::Status draining = DrainingError();
  EXPECT_EQ(InMessage(draining, "open"), draining);
  EXPECT_TRUE(InMessage(absl::OkStatus(), "open").ok());
}

TEST(QueryRowsTest, ASetHasItsOwnFunction) {
  const SetFacts set{.columns = 4, .function = Power{2.0}};
  const SetFacts softmax{
      .columns = 4,
      .function = Softmax{.mode = SoftmaxMode::kHeuristic, .scale = 0.5}};
  v1::ScoreFunction function;
  EXPECT_TRUE(FunctionOfSet(false, function, set).ok());
  function.mutable_power()->set_p(2.0);
  EXPECT_TRUE(FunctionOfSet(true, function, set).ok());
  function.mutable_power()->set_p(3.0);
  const absl::Status other = FunctionOfSet(true, function, set).status();
  EXPECT_EQ(DetailOf(other)->reason, "CONFLICTING_FIELDS");
  EXPECT_THAT(std::string(other.message()), HasSubstr("the set is of |x|^2"));

  function.mutable_softmax()->set_mode(v1::SOFTMAX_MODE_HEURISTIC);
  EXPECT_TRUE(FunctionOfSet(true, function, softmax).ok());
  function.mutable_softmax()->set_mode(v1::SOFTMAX_MODE_CERTIFIED);
  const absl::Status certified =
      FunctionOfSet(true, function, softmax).status();
  EXPECT_EQ(DetailOf(certified)->field, "function.softmax.mode");
  EXPECT_THAT(std::string(certified.message()), HasSubstr("send keys"));
}

TEST(QueryRowsTest, TheNameOfASetIsChecked) {
  v1::QueryHeavyRequest request;
  EXPECT_EQ(SetIdFromProto(request).value(), std::nullopt);
  request.mutable_universal_set()->set_name("universalSets/layer-3");
  EXPECT_EQ(SetIdFromProto(request).value(), "layer-3");
  request.mutable_universal_set()->set_name("layer-3");
  EXPECT_EQ(DetailOf(SetIdFromProto(request).status())->field,
            "universal_set.name");
  v1::AttendRequest attend;
  attend.mutable_universal_set();
  EXPECT_EQ(DetailOf(SetIdFromProto(attend).status())->reason,
            "FIELD_REQUIRED");
}

}  // namespace
}  // namespace steelyard::server
