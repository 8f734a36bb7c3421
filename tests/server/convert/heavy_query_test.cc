#include "server/convert/heavy_query.h"

#include <cmath>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/status.h"
#include "tests/server/convert/field_coverage.h"
#include "tests/server/convert/valid_requests.h"

namespace steelyard::server {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const Limits kLimits;

TEST(HeavyQueryConvertTest, EveryFieldOfTheRequestReachesTheProblem) {
  v1::QueryHeavyRequest request = test::ValidQueryHeavyRequest();
  request.mutable_function()->mutable_power()->set_p(2.0);
  request.set_max_response_bytes(1 << 20);
  v1::QueryHeavyRequest by_hand = request;
  test::SetPlainTensor({5, 3}, by_hand.mutable_queries());
  test::WriteByHand(by_hand.mutable_queries());
  test::SetPlainTensor({10, 3}, by_hand.mutable_keys()->mutable_dense());
  EXPECT_THAT(test::UnsetFields(std::vector{request, by_hand}), IsEmpty());

  const auto problem = HeavyProblemFromProto(request, kLimits);
  ASSERT_TRUE(problem.ok()) << problem.status();
  EXPECT_EQ(DescriptionOf(*problem),
            "keys 2x10x3 FLOAT64, queries 4x5x3 FLOAT64");
  EXPECT_EQ(problem->options().epsilon, 0.25);
  EXPECT_EQ(problem->max_response_bytes(), 1 << 20);
  EXPECT_TRUE(HeavyProblemFromProto(by_hand, kLimits).ok());
}

TEST(HeavyQueryConvertTest, HeadsOfQueriesAreAMultipleOfThoseOfKeys) {
  v1::QueryHeavyRequest request = test::ValidQueryHeavyRequest();
  for (const std::int64_t heads : {2, 4, 6}) {
    test::SetPlainTensor({heads, 5, 3}, request.mutable_queries());
    EXPECT_TRUE(HeavyProblemFromProto(request, kLimits).ok()) << heads;
  }
  test::SetPlainTensor({5, 3}, request.mutable_queries());
  EXPECT_EQ(
      HeavyProblemFromProto(request, kLimits).status().message(),
      "queries.shape is one head; keys have 2 heads, and the heads of queries "
      "must be a multiple");
}

// The wire error names the place in the message, core's index kept.
TEST(HeavyQueryConvertTest, CoreErrorsGetTheirProtoPath) {
  v1::QueryHeavyRequest request = test::ValidQueryHeavyRequest();
  test::SetPlainTensor({10, 3}, request.mutable_keys()->mutable_dense());
  test::WriteByHand(request.mutable_keys()->mutable_dense());
  const auto problem = HeavyProblemFromProto(request, kLimits);
  ASSERT_TRUE(problem.ok()) << problem.status();

  const absl::Status keys =
      AtProtoPath(NotFiniteError("keys", 4, 1, 3, std::nan("")), *problem);
  EXPECT_EQ(DetailOf(keys)->field, "keys.dense.values[13]");
  EXPECT_EQ(DetailOf(keys)->metadata.at("index"), "13");
  const absl::Status queries =
      AtProtoPath(NotFiniteError("queries", 0, 0, 3, std::nan("")), *problem);
  EXPECT_EQ(DetailOf(queries)->field, "queries.data");
  const absl::Status other = absl::CancelledError("gone");
  EXPECT_EQ(AtProtoPath(other, *problem), other);
}

HeavyRow FullRow() {
  return {.indices = {2, 3},
          .scores = {0.25, 0.5},
          .normalizer = 1.5,
          .normalizer_exponent = -2000,
          .captured_mass = 0.75,
          .undefined = true};
}

TEST(HeavyQueryConvertTest, EveryFieldOfTheAnswerIsFilled) {
  const auto request = test::ValidQueryHeavyRequest();
  const auto problem = HeavyProblemFromProto(request, kLimits);
  ASSERT_TRUE(problem.ok());
  const Timing timing{.queue = std::chrono::nanoseconds(1'000'000'002),
                      .compute = std::chrono::nanoseconds(3'000'000'004)};
  v1::QueryHeavyResponse response;

  ASSERT_TRUE(ToProto({FullRow()}, *problem, timing, &response).ok());

  EXPECT_THAT(test::UnsetFields(std::vector{response}), IsEmpty());
  const v1::HeavyRow& row = response.rows(0);
  EXPECT_THAT(row.indices(), ElementsAre(2, 3));
  EXPECT_THAT(row.scores(), ElementsAre(0.25, 0.5));
  EXPECT_EQ(row.normalizer(), 1.5);
  EXPECT_EQ(row.normalizer_exponent(), -2000);
  EXPECT_EQ(row.captured_mass(), 0.75);
  EXPECT_TRUE(row.undefined());
}

TEST(HeavyQueryConvertTest, RowsAloneCanBeTooManyBeforeAnyWork) {
  v1::QueryHeavyRequest request = test::ValidQueryHeavyRequest();
  EXPECT_TRUE(CheckResponseSize(*HeavyProblemFromProto(request, kLimits)).ok());
  request.set_max_response_bytes(79);  // 20 rows of at least 4 bytes
  EXPECT_EQ(
      DetailOf(CheckResponseSize(*HeavyProblemFromProto(request, kLimits)))
          ->reason,
      "RESPONSE_TOO_LARGE");
}

}  // namespace
}  // namespace steelyard::server
