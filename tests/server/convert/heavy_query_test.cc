#include "server/convert/heavy_query.h"

#include <cmath>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/status.h"
#include "tests/server/convert/fake_stored_matrix.h"
#include "tests/server/convert/field_coverage.h"
#include "tests/server/convert/valid_requests.h"

namespace steelyard::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const Limits kLimits;

const SetFacts kSet{.heads = 2,
                    .columns = 3,
                    .function = Power{3.0},
                    .causal = false,
                    .members = 20.0};

v1::QueryHeavyRequest RequestOfSet() {
  v1::QueryHeavyRequest request = test::ValidQueryHeavyRequest();
  request.mutable_universal_set()->set_name("universalSets/a");
  return request;
}

// Every field but those of the other source and the other functions.
v1::QueryHeavyRequest FullRequest() {
  v1::QueryHeavyRequest request = test::ValidQueryHeavyRequest();
  request.mutable_function()->mutable_power()->set_p(4.0);
  request.set_causal(true);
  for (const std::int64_t position : {0, 9, 3, 3, 1}) {
    request.add_positions(position);
  }
  request.set_max_response_bytes(1 << 20);
  request.set_packed(true);
  request.add_lengths(10);
  request.add_lengths(4);
  return request;
}

void SetEveryFunction(std::vector<v1::QueryHeavyRequest>* requests) {
  v1::QueryHeavyRequest sum = FullRequest();
  v1::PowerTerm* const term =
      sum.mutable_function()->mutable_power_sum()->add_terms();
  term->set_coefficient(2.0);
  term->set_p(1.5);
  requests->push_back(sum);
  v1::QueryHeavyRequest softmax = FullRequest();
  softmax.mutable_function()->mutable_softmax()->set_mode(
      v1::SOFTMAX_MODE_CERTIFIED);
  softmax.mutable_function()->mutable_softmax()->set_scale(0.5);
  requests->push_back(softmax);
}

v1::QueryHeavyRequest StoredRequest() {
  v1::QueryHeavyRequest request = test::ValidQueryHeavyRequest();
  request.mutable_keys()->set_matrix("matrices/keys");
  return request;
}

TEST(HeavyQueryConvertTest, KeysMayBeStored) {
  test::FakeMatrices matrices;
  matrices.Add("keys", {.extents = 3, .heads = 2, .rows = 10, .cols = 3},
               test::BytesOf(test::PlainNumbers(60)));
  const v1::QueryHeavyRequest request = StoredRequest();
  const auto problem =
      HeavyProblemFromProto(request, nullptr, kLimits, matrices.lookup());
  ASSERT_TRUE(problem.ok()) << problem.status();
  EXPECT_THAT(DescriptionOf(*problem),
              testing::StartsWith("keys matrices/keys 2x10x3 FLOAT64"));
  EXPECT_TRUE(problem->terms().Load({}).ok());
  v1::QueryHeavyRequest open = request;
  open.clear_queries();
  EXPECT_TRUE(
      HeavyOpenFromProto(open, nullptr, kLimits, matrices.lookup()).ok());
}

TEST(HeavyQueryConvertTest, EveryFieldOfTheRequestReachesTheProblem) {
  v1::QueryHeavyRequest by_hand = FullRequest();
  test::SetPlainTensor({5, 3}, by_hand.mutable_queries());
  test::WriteByHand(by_hand.mutable_queries());
  test::SetPlainTensor({10, 3}, by_hand.mutable_keys()->mutable_dense());
  by_hand.clear_lengths();
  std::vector<v1::QueryHeavyRequest> all = {FullRequest(), by_hand};
  SetEveryFunction(&all);
  for (const v1::QueryHeavyRequest& each : all) {
    const auto problem = HeavyProblemFromProto(each, nullptr, kLimits);
    EXPECT_TRUE(problem.ok()) << problem.status();
  }
  all.push_back(RequestOfSet());
  all.push_back(StoredRequest());
  EXPECT_THAT(test::UnsetDenseFields(all), IsEmpty());

  const v1::QueryHeavyRequest request = FullRequest();
  const auto problem = HeavyProblemFromProto(request, nullptr, kLimits);
  ASSERT_TRUE(problem.ok()) << problem.status();
  EXPECT_EQ(DescriptionOf(*problem),
            "keys 2x10x3 FLOAT64, queries 4x5x3 FLOAT64");
  const HeavyOptions options = problem->options();
  EXPECT_EQ(options.epsilon, 0.25);
  EXPECT_EQ(std::get<Power>(options.function).p, 4.0);
  EXPECT_TRUE(options.causal);
  EXPECT_THAT(options.positions, ElementsAre(0, 9, 3, 3, 1));
  EXPECT_THAT(problem->terms().lengths(), ElementsAre(10, 4));
  EXPECT_TRUE(problem->terms().packed());
  EXPECT_EQ(problem->terms().max_response_bytes(), 1 << 20);
}

TEST(HeavyQueryConvertTest, UnsetFieldsHaveTheirDefaults) {
  const v1::QueryHeavyRequest request = test::ValidQueryHeavyRequest();
  const auto problem = HeavyProblemFromProto(request, nullptr, kLimits);
  ASSERT_TRUE(problem.ok()) << problem.status();
  EXPECT_EQ(std::get<Power>(problem->options().function).p, 2.0);
  EXPECT_FALSE(problem->options().causal);
  EXPECT_FALSE(problem->terms().packed());
  EXPECT_EQ(problem->terms().max_response_bytes(),
            kLimits.response_bytes_default);
  EXPECT_THAT(problem->terms().lengths(), IsEmpty());
}

TEST(HeavyQueryConvertTest, ASetBringsItsShapeAndItsFunction) {
  v1::QueryHeavyRequest request = RequestOfSet();
  const auto problem = HeavyProblemFromProto(request, &kSet, kLimits);
  ASSERT_TRUE(problem.ok()) << problem.status();
  EXPECT_FALSE(problem->terms().keys().has_value());
  EXPECT_EQ(std::get<Power>(problem->options().function).p, 3.0);
  EXPECT_EQ(DescriptionOf(*problem), "set 2x3, queries 4x5x3 FLOAT64");
  EXPECT_GT(CostOf(*problem, 2).flops, 0.0);

  // Global positions: how many there are is not known here.
  request.set_causal(true);
  for (int i = 0; i < 5; ++i) request.add_positions(1'000'000);
  EXPECT_TRUE(HeavyProblemFromProto(request, &kSet, kLimits).ok());

  request.add_lengths(3);
  EXPECT_EQ(
      DetailOf(HeavyProblemFromProto(request, &kSet, kLimits).status())->reason,
      "CONFLICTING_FIELDS");
}

TEST(HeavyQueryConvertTest, CoreErrorsGetTheirProtoPath) {
  v1::QueryHeavyRequest request = FullRequest();
  const auto problem = HeavyProblemFromProto(request, nullptr, kLimits);
  ASSERT_TRUE(problem.ok()) << problem.status();

  // Row 12 of 10 + 4 valid ones is row 2 of head 1.
  const absl::Status keys =
      AtProtoPath(NotFiniteError("keys", 12, 1, 3, std::nan("")), *problem);
  EXPECT_EQ(DetailOf(keys)->field, "keys.dense.data");
  EXPECT_EQ(DetailOf(keys)->metadata.at("index"), "37");
  const absl::Status queries =
      AtProtoPath(NotFiniteError("queries", 0, 0, 3, std::nan("")), *problem);
  EXPECT_EQ(DetailOf(queries)->field, "queries.data");
  const absl::Status other = absl::CancelledError("gone");
  EXPECT_EQ(AtProtoPath(other, *problem), other);
}

TEST(HeavyQueryConvertTest, AnOpenHasNoQueriesAndABlockBringsThem) {
  v1::QueryHeavyRequest open = FullRequest();
  EXPECT_EQ(
      DetailOf(HeavyOpenFromProto(open, nullptr, kLimits).status())->field,
      "queries");
  open.clear_queries();
  EXPECT_EQ(
      DetailOf(HeavyOpenFromProto(open, nullptr, kLimits).status())->field,
      "positions");
  open.clear_positions();
  const auto terms = HeavyOpenFromProto(open, nullptr, kLimits);
  ASSERT_TRUE(terms.ok()) << terms.status();

  v1::QueryBlock block;
  test::SetPlainTensor({4, 2, 3}, block.mutable_queries());
  const absl::Status none =
      HeavyBlockFromProto(block, *terms, kLimits).status();
  EXPECT_EQ(DetailOf(none)->reason, "FIELD_REQUIRED");
  EXPECT_EQ(DetailOf(none)->field, "block.positions");
  block.add_positions(0);
  block.add_positions(7);
  const auto problem = HeavyBlockFromProto(block, *terms, kLimits);
  ASSERT_TRUE(problem.ok()) << problem.status();
  EXPECT_THAT(problem->options().positions, ElementsAre(0, 7));
  EXPECT_EQ(problem->options().epsilon, 0.25);
  const absl::Status nan =
      AtProtoPath(NotFiniteError("queries", 0, 0, 3, std::nan("")), *problem);
  EXPECT_EQ(DetailOf(nan)->field, "block.queries.data");
}

TEST(HeavyQueryConvertTest, CostGrowsWithWhatIsAsked) {
  v1::QueryHeavyRequest request = test::ValidQueryHeavyRequest();
  const auto small = HeavyProblemFromProto(request, nullptr, kLimits);
  ASSERT_TRUE(small.ok());
  EXPECT_GE(CostOf(*small, 2).bytes, AnswerMemoryOf(*small, 4'000'000));
  test::SetPlainTensor({4, 500, 3}, request.mutable_queries());
  const auto large = HeavyProblemFromProto(request, nullptr, kLimits);
  ASSERT_TRUE(large.ok());
  EXPECT_GT(CostOf(*large, 2).bytes, CostOf(*small, 2).bytes);
  EXPECT_GT(CostOf(*large, 2).flops, CostOf(*small, 2).flops);
  EXPECT_LE(AnswerMemoryOf(*large, 1000), 9.0 * 1000);
}

}  // namespace
}  // namespace steelyard::server
