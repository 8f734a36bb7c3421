#include "server/convert/attend.h"

#include <cmath>
#include <functional>
#include <string>
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
using testing::IsEmpty;

const Limits kLimits;

const SetFacts kSet{.heads = 2,
                    .columns = 3,
                    .function = Power{3.0},
                    .causal = false,
                    .members = 20.0};

v1::AttendRequest FullRequest() {
  v1::AttendRequest request = test::ValidAttendRequest();
  request.mutable_function()->mutable_power()->set_p(4.0);
  request.set_top_m(3);
  request.set_normalization(v1::NORMALIZATION_ALL);
  request.set_causal(true);
  for (const std::int64_t position : {0, 9, 3, 3, 1}) {
    request.add_positions(position);
  }
  request.set_output_dtype(v1::DTYPE_BFLOAT16);
  request.set_max_response_bytes(1 << 20);
  request.add_lengths(10);
  request.add_lengths(4);
  return request;
}

// Of a set alone.
v1::AttendRequest RequestOfSet() {
  v1::AttendRequest request = test::ValidAttendRequest();
  request.mutable_universal_set()->set_name("universalSets/a");
  request.clear_keys();
  request.clear_epsilon();
  request.clear_sinks();
  request.clear_local();
  return request;
}

std::vector<v1::AttendRequest> OtherKinds() {
  v1::AttendRequest by_hand = FullRequest();
  test::SetPlainTensor({5, 3}, by_hand.mutable_queries());
  test::WriteByHand(by_hand.mutable_queries());
  test::SetPlainTensor({10, 3}, by_hand.mutable_keys()->mutable_dense());
  test::SetPlainTensor({10, 6}, by_hand.mutable_values()->mutable_dense());
  by_hand.clear_lengths();
  by_hand.mutable_grid()->set_height(2);
  by_hand.mutable_grid()->set_width(4);
  by_hand.mutable_grid()->set_radius(1);
  by_hand.mutable_grid()->set_first(1);
  v1::AttendRequest sum = FullRequest();
  v1::PowerTerm* const term =
      sum.mutable_function()->mutable_power_sum()->add_terms();
  term->set_coefficient(2.0);
  term->set_p(1.5);
  v1::AttendRequest softmax = FullRequest();
  softmax.mutable_function()->mutable_softmax()->set_mode(
      v1::SOFTMAX_MODE_HEURISTIC);
  softmax.mutable_function()->mutable_softmax()->set_scale(0.5);
  return {by_hand, sum, softmax};
}

ErrorDetail Refused(const v1::AttendRequest& request,
                    const SetFacts* set = nullptr) {
  const auto problem = AttendProblemFromProto(request, set, kLimits);
  EXPECT_FALSE(problem.ok());
  return DetailOf(problem.status()).value_or(ErrorDetail{});
}

v1::AttendRequest StoredRequest() {
  v1::AttendRequest request = test::ValidAttendRequest();
  request.mutable_keys()->set_matrix("matrices/keys");
  request.mutable_values()->set_matrix("matrices/values");
  return request;
}

TEST(AttendConvertTest, KeysAndValuesMayBeStored) {
  test::FakeMatrices matrices;
  const MatrixLayout keys{.extents = 3, .heads = 2, .rows = 10, .cols = 3};
  matrices.Add("keys", keys, test::BytesOf(test::PlainNumbers(60)));
  matrices.Add("values", keys, test::BytesOf(test::PlainNumbers(60)));
  const v1::AttendRequest request = StoredRequest();
  const auto read = [&] {
    return AttendProblemFromProto(request, nullptr, kLimits, matrices.lookup());
  };
  const auto problem = read();
  ASSERT_TRUE(problem.ok()) << problem.status();
  EXPECT_THAT(DescriptionOf(*problem),
              testing::StartsWith("keys matrices/keys 2x10x3 FLOAT64, "
                                  "values matrices/values 2x10x3 FLOAT64"));
  EXPECT_TRUE(problem->terms().Load({}).ok());

  const auto refused = [&](const MatrixLayout& values) {
    matrices.Add("values", values, std::string(480, '\0'));
    const absl::Status status = read().status();
    EXPECT_EQ(DetailOf(status)->field, "values.matrix");
    return std::string(status.message());
  };
  EXPECT_EQ(refused({.extents = 3, .heads = 1, .rows = 20, .cols = 3}),
            "values.matrix has 1 heads; keys have 2 heads");
  EXPECT_EQ(refused({.extents = 3, .heads = 2, .rows = 5, .cols = 6}),
            "values.matrix has 5 rows; keys have 10 rows");
  EXPECT_EQ(refused({.rows = 20, .cols = 3}),
            "values.matrix is one head; keys have 2 heads");
}

TEST(AttendConvertTest, EveryFieldOfTheRequestReachesTheProblem) {
  std::vector<v1::AttendRequest> all = OtherKinds();
  all.push_back(FullRequest());
  for (const v1::AttendRequest& each : all) {
    const auto problem = AttendProblemFromProto(each, nullptr, kLimits);
    EXPECT_TRUE(problem.ok()) << problem.status();
  }
  all.push_back(RequestOfSet());
  all.push_back(StoredRequest());
  EXPECT_THAT(test::UnsetDenseFields(all), IsEmpty());

  const v1::AttendRequest request = FullRequest();
  const auto problem = AttendProblemFromProto(request, nullptr, kLimits);
  ASSERT_TRUE(problem.ok()) << problem.status();
  EXPECT_EQ(DescriptionOf(*problem),
            "keys 2x10x3 FLOAT64, values 2x10x6 FLOAT64, queries 4x5x3 "
            "FLOAT64");
  const AttendOptions options = problem->options();
  EXPECT_EQ(options.epsilon, 0.25);
  EXPECT_EQ(options.top_m, 3);
  EXPECT_EQ(std::get<Power>(options.function).p, 4.0);
  EXPECT_EQ(options.sinks, 1);
  EXPECT_EQ(options.window, 2);
  EXPECT_EQ(options.normalization, AttendNormalization::kAllKeys);
  EXPECT_TRUE(options.causal);
  EXPECT_THAT(options.positions, ElementsAre(0, 9, 3, 3, 1));
  const AttendTerms& terms = problem->terms();
  EXPECT_THAT(terms.lengths(), ElementsAre(10, 4));
  EXPECT_EQ(terms.output_type(), StorageType::kBFloat16);
  EXPECT_EQ(terms.max_response_bytes(), 1 << 20);
  ASSERT_TRUE(terms.search().has_value());
  EXPECT_TRUE(terms.search()->causal);
  EXPECT_EQ(terms.search()->top_m, 3);
}

TEST(AttendConvertTest, UnsetFieldsHaveTheirDefaults) {
  v1::AttendRequest request = test::ValidAttendRequest();
  request.clear_epsilon();
  const auto problem = AttendProblemFromProto(request, nullptr, kLimits);
  ASSERT_TRUE(problem.ok()) << problem.status();
  const AttendOptions options = problem->options();
  EXPECT_EQ(std::get<Power>(options.function).p, 2.0);
  EXPECT_EQ(options.normalization, AttendNormalization::kAttended);
  EXPECT_FALSE(options.causal);
  EXPECT_THAT(options.positions, IsEmpty());
  EXPECT_FALSE(problem->terms().search().has_value());
  EXPECT_EQ(problem->terms().output_type(), StorageType::kFloat64);
  EXPECT_EQ(problem->terms().max_response_bytes(),
            kLimits.response_bytes_default);
}

TEST(AttendConvertTest, ASetBringsItsShapeAndItsFunction) {
  const v1::AttendRequest request = RequestOfSet();
  const auto problem = AttendProblemFromProto(request, &kSet, kLimits);
  ASSERT_TRUE(problem.ok()) << problem.status();
  EXPECT_TRUE(problem->terms().with_set());
  EXPECT_FALSE(problem->terms().keys().has_value());
  EXPECT_FALSE(problem->terms().search().has_value());
  EXPECT_EQ(std::get<Power>(problem->options().function).p, 3.0);
  EXPECT_EQ(DescriptionOf(*problem),
            "set 2x3, values 2x10x6 FLOAT64, queries 4x5x3 FLOAT64");
  // The gathered members: 20 keys of 3 and values of 6 columns.
  EXPECT_GE(CostOf(*problem, 2).bytes, 20.0 * 9 * 8);
}

struct Mistake {
  std::string field;
  std::string reason;
  std::function<void(v1::AttendRequest*)> make;
};

TEST(AttendConvertTest, WhatDoesNotFitASetIsNamed) {
  for (const Mistake& mistake : std::vector<Mistake>{
           {"epsilon", "CONFLICTING_FIELDS",
            [](auto* request) { request->set_epsilon(0.5); }},
           {"top_m", "CONFLICTING_FIELDS",
            [](auto* request) { request->set_top_m(5); }},
           {"function", "CONFLICTING_FIELDS",
            [](auto* request) {
              request->mutable_function()->mutable_power()->set_p(2.0);
            }},
           {"causal", "CONFLICTING_FIELDS",
            [](auto* request) { request->set_causal(true); }},
           {"keys", "FIELD_REQUIRED",
            [](auto* request) { request->set_sinks(1); }},
           {"keys", "FIELD_REQUIRED",
            [](auto* request) { request->set_window(0); }},
           {"values.dense.shape[0]", "WRONG_SHAPE",
            [](auto* request) {
              test::SetPlainTensor({4, 10, 6},
                                   request->mutable_values()->mutable_dense());
            }},
           {"values.dense.shape", "WRONG_SHAPE",
            [](auto* request) {
              test::SetPlainTensor({10, 6},
                                   request->mutable_values()->mutable_dense());
            }},
           {"keys.dense.shape[2]", "WRONG_SHAPE", [](auto* request) {
              test::SetPlainTensor({2, 10, 4},
                                   request->mutable_keys()->mutable_dense());
            }}}) {
    SCOPED_TRACE(mistake.field);
    v1::AttendRequest request = RequestOfSet();
    mistake.make(&request);
    const ErrorDetail detail = Refused(request, &kSet);
    EXPECT_EQ(detail.field, mistake.field);
    EXPECT_EQ(detail.reason, mistake.reason);
  }
}

TEST(AttendConvertTest, SoftmaxOfASetNeedsKeysForTheSumOfAll) {
  const SetFacts softmax{.heads = 2,
                         .columns = 3,
                         .function = Softmax{SoftmaxMode::kHeuristic, 1.0}};
  v1::AttendRequest request = RequestOfSet();
  EXPECT_TRUE(AttendProblemFromProto(request, &softmax, kLimits).ok());
  request.set_normalization(v1::NORMALIZATION_ALL);
  EXPECT_EQ(Refused(request, &softmax).field, "keys");
}

// No set of softmax holds every large score. Sinks and local keys promise none.
TEST(AttendConvertTest, CertifiedSoftmaxIsRefusedWhereASetIsLookedFor) {
  v1::AttendRequest request = test::ValidAttendRequest();
  request.mutable_function()->mutable_softmax()->set_mode(
      v1::SOFTMAX_MODE_CERTIFIED);
  EXPECT_EQ(Refused(request).field, "function.softmax.mode");
  EXPECT_EQ(Refused(request).reason, "CONFLICTING_FIELDS");
  request.clear_epsilon();
  EXPECT_TRUE(AttendProblemFromProto(request, nullptr, kLimits).ok());
}

// Without positions the queries are the last keys, so there are not more.
TEST(AttendConvertTest, QueriesBeyondTheKeysNeedPositionsWherePlaceMatters) {
  v1::AttendRequest request = test::ValidAttendRequest();
  request.add_lengths(10);
  request.add_lengths(4);
  EXPECT_EQ(Refused(request).field, "positions");
  for (int i = 0; i < 5; ++i) request.add_positions(9);
  EXPECT_TRUE(AttendProblemFromProto(request, nullptr, kLimits).ok());
  request.clear_positions();
  request.clear_local();
  EXPECT_TRUE(AttendProblemFromProto(request, nullptr, kLimits).ok());
  request.set_causal(true);
  EXPECT_EQ(Refused(request).field, "positions");
}

TEST(AttendConvertTest, CoreErrorsGetTheirProtoPath) {
  const v1::AttendRequest request = FullRequest();
  const auto problem = AttendProblemFromProto(request, nullptr, kLimits);
  ASSERT_TRUE(problem.ok()) << problem.status();
  // Row 12 of 10 + 4 valid ones is row 2 of head 1.
  const absl::Status values =
      AtProtoPath(NotFiniteError("values", 12, 1, 6, std::nan("")), *problem);
  EXPECT_EQ(DetailOf(values)->field, "values.dense.data");
  EXPECT_EQ(DetailOf(values)->metadata.at("index"), "73");
  const absl::Status keys =
      AtProtoPath(NotFiniteError("keys", 0, 1, 3, std::nan("")), *problem);
  EXPECT_EQ(DetailOf(keys)->field, "keys.dense.data");
  const absl::Status queries =
      AtProtoPath(NotFiniteError("queries", 0, 0, 3, std::nan("")), *problem);
  EXPECT_EQ(DetailOf(queries)->field, "queries.data");

  const absl::Status shape = ErrorWithDetail(
      absl::StatusCode::kInvalidArgument, "values has 9 rows",
      {.reason = "WRONG_SHAPE", .field = "values", .metadata = {}});
  EXPECT_EQ(DetailOf(AtProtoPath(shape, *problem))->field, "lengths");
  const v1::AttendRequest plain = test::ValidAttendRequest();
  const auto without = AttendProblemFromProto(plain, nullptr, kLimits);
  ASSERT_TRUE(without.ok());
  EXPECT_EQ(DetailOf(AtProtoPath(shape, *without))->field,
            "values.dense.shape[1]");
}

TEST(AttendConvertTest, AnOpenHasNoQueriesAndABlockBringsThem) {
  v1::AttendRequest open = FullRequest();
  EXPECT_EQ(
      DetailOf(AttendOpenFromProto(open, nullptr, kLimits).status())->field,
      "queries");
  open.clear_queries();
  EXPECT_EQ(
      DetailOf(AttendOpenFromProto(open, nullptr, kLimits).status())->field,
      "positions");
  open.clear_positions();
  open.clear_lengths();
  // A block's place is its own also where nothing is causal.
  open.set_causal(false);
  const auto terms = AttendOpenFromProto(open, nullptr, kLimits);
  ASSERT_TRUE(terms.ok()) << terms.status();
  v1::QueryBlock block;
  test::SetPlainTensor({4, 2, 3}, block.mutable_queries());
  EXPECT_TRUE(AttendBlockFromProto(block, *terms, kLimits).ok());
  block.add_positions(0);
  block.add_positions(7);
  const auto problem = AttendBlockFromProto(block, *terms, kLimits);
  ASSERT_TRUE(problem.ok()) << problem.status();
  EXPECT_THAT(problem->options().positions, ElementsAre(0, 7));
  block.set_positions(1, 10);
  const auto beyond = AttendBlockFromProto(block, *terms, kLimits);
  EXPECT_EQ(DetailOf(beyond.status())->field, "block.positions[1]");
}

TEST(AttendConvertTest, CostGrowsWithWhatIsAsked) {
  v1::AttendRequest request = test::ValidAttendRequest();
  request.clear_local();
  const auto small = AttendProblemFromProto(request, nullptr, kLimits);
  ASSERT_TRUE(small.ok());
  EXPECT_GT(CostOfOpen(small->terms(), 2).bytes, 0.0);
  EXPECT_GT(CostOf(*small, 2).bytes, CostOfOpen(small->terms(), 2).bytes);
  test::SetPlainTensor({4, 500, 3}, request.mutable_queries());
  const auto large = AttendProblemFromProto(request, nullptr, kLimits);
  ASSERT_TRUE(large.ok()) << large.status();
  EXPECT_GT(CostOf(*large, 2).bytes, CostOf(*small, 2).bytes);
  EXPECT_GT(CostOf(*large, 2).flops, CostOf(*small, 2).flops);
}

}  // namespace
}  // namespace steelyard::server
