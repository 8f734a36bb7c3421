#include "server/convert/universal_set.h"

#include <cmath>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/queryable_set.h"
#include "steelyard/status.h"
#include "tests/server/convert/fake_stored_matrix.h"
#include "tests/server/convert/field_coverage.h"
#include "tests/server/convert/valid_requests.h"
#include "tests/support_server/set_caller.h"

namespace steelyard::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const Limits kLimits;

// All that may stand together with a ridge, and every field of Tensor but
// `values`.
void SetEveryField(v1::FindUniversalSetRequest* request) {
  *request = test::ValidFindUniversalSetRequest();
  test::SetPlainTensor({2, 10, 3}, request->mutable_keys()->mutable_dense());
  request->mutable_function()->mutable_power()->set_p(2.0);
  request->set_top_m(7);
  request->set_selection(v1::SELECTION_DIRECT);
  request->mutable_ridge()->set_lambda(0.5);
  request->mutable_ridge()->set_ratio(2.0);
  request->add_lengths(10);
  request->add_lengths(4);
  request->set_seed(11);
  request->set_max_response_bytes(123'456);
}

v1::FindUniversalSetRequest KeptRequest() {
  v1::FindUniversalSetRequest request = test::ValidFindUniversalSetRequest();
  v1::PowerTerm* const term =
      request.mutable_function()->mutable_power_sum()->add_terms();
  term->set_coefficient(0.5);
  term->set_p(3.0);
  request.set_causal(true);
  request.set_set_id("keys");
  request.mutable_ttl()->set_seconds(60);
  return request;
}

v1::FindUniversalSetRequest SoftmaxRequest() {
  v1::FindUniversalSetRequest request = test::ValidFindUniversalSetRequest();
  request.mutable_function()->mutable_softmax()->set_mode(
      v1::SOFTMAX_MODE_HEURISTIC);
  request.mutable_function()->mutable_softmax()->set_scale(0.25);
  return request;
}

v1::FindUniversalSetRequest StoredRequest() {
  v1::FindUniversalSetRequest request = test::ValidFindUniversalSetRequest();
  request.mutable_keys()->set_matrix("matrices/keys");
  return request;
}

TEST(UniversalSetConvertTest, KeysMayBeStored) {
  test::FakeMatrices matrices;
  matrices.Add("keys", {.extents = 3, .heads = 2, .rows = 10, .cols = 3},
               test::BytesOf(test::PlainNumbers(60)));
  const v1::FindUniversalSetRequest request = StoredRequest();
  const auto problem =
      UniversalSetProblemFromProto(request, kLimits, matrices.lookup());
  ASSERT_TRUE(problem.ok()) << problem.status();
  matrices.Delete("keys");
  EXPECT_EQ(DescriptionOf(*problem), "keys matrices/keys 2x10x3 FLOAT64");
  EXPECT_EQ(problem->keys().heads(), 2);
  EXPECT_EQ(problem->keys().message_bytes(), 0);
  EXPECT_EQ(problem->keys().copy_bytes(), 0);
  EXPECT_EQ(UniversalSetProblemFromProto(request, kLimits, matrices.lookup())
                .status()
                .code(),
            absl::StatusCode::kNotFound);
}

TEST(UniversalSetConvertTest, EveryFieldOfTheRequestReachesTheProblem) {
  v1::FindUniversalSetRequest request;
  SetEveryField(&request);
  v1::FindUniversalSetRequest by_hand = request;
  test::WriteByHand(by_hand.mutable_keys()->mutable_dense());
  EXPECT_THAT(
      test::UnsetDenseFields(std::vector{request, by_hand, KeptRequest(),
                                         SoftmaxRequest(), StoredRequest()}),
      IsEmpty());

  for (const auto& each : {request, by_hand}) {
    const auto problem = UniversalSetProblemFromProto(each, kLimits);
    ASSERT_TRUE(problem.ok()) << problem.status();
    EXPECT_EQ(problem->keys().Description(), "2x10x3 FLOAT64");
    EXPECT_EQ(problem->options().epsilon, 0.25);
    EXPECT_EQ(problem->options().top_m, 7);
    EXPECT_EQ(problem->options().selection, Selection::kDirect);
    EXPECT_EQ(problem->options().ridge->lambda, 0.5);
    EXPECT_EQ(problem->options().ridge->ratio, 2.0);
    EXPECT_EQ(problem->options().seed, 11u);
    EXPECT_FALSE(problem->options().causal);
    EXPECT_THAT(problem->lengths(), ElementsAre(10, 4));
    EXPECT_THAT(KeyCounts(*problem), ElementsAre(10, 4));
    EXPECT_FALSE(problem->kept().has_value());
    EXPECT_EQ(problem->max_response_bytes(), 123'456);
    const TensorMatrices keys(problem->keys());
    const auto& view = std::get<MatrixView<double>>(keys.matrix());
    EXPECT_THAT(std::vector<double>(view.data(), view.data() + 60),
                testing::ElementsAreArray(test::PlainNumbers(60)));
  }
}

TEST(UniversalSetConvertTest, ASetThatIsKeptHasItsNameTimeAndMemory) {
  const v1::FindUniversalSetRequest request = KeptRequest();
  const auto problem = UniversalSetProblemFromProto(request, kLimits);
  ASSERT_TRUE(problem.ok()) << problem.status();
  ASSERT_TRUE(problem->kept().has_value());
  EXPECT_EQ(problem->kept()->id, "keys");
  EXPECT_EQ(problem->kept()->ttl, absl::Minutes(1));
  EXPECT_EQ(problem->kept()->bytes,
            BytesOfQueryableSet(10, 3, problem->options()));
  const SetDescription description = SetDescriptionOf(*problem);
  EXPECT_EQ(description.heads, 1);
  EXPECT_EQ(description.columns, 3);
  EXPECT_TRUE(description.causal);
  EXPECT_EQ(std::get<PowerSum>(description.function).terms.front().p, 3.0);
  EXPECT_THAT(KeyCounts(*problem), ElementsAre(10));

  const v1::FindUniversalSetRequest softmax = SoftmaxRequest();
  const auto heuristic = UniversalSetProblemFromProto(softmax, kLimits);
  ASSERT_TRUE(heuristic.ok()) << heuristic.status();
  EXPECT_EQ(std::get<Softmax>(heuristic->options().function).scale, 0.25);
}

TEST(UniversalSetConvertTest, UnsetOptionsStayUnset) {
  v1::FindUniversalSetRequest request = test::ValidFindUniversalSetRequest();
  request.clear_epsilon();
  request.set_top_m(3);
  const auto top = UniversalSetProblemFromProto(request, kLimits);
  ASSERT_TRUE(top.ok()) << top.status();
  EXPECT_EQ(top->options().epsilon, std::nullopt);
  EXPECT_EQ(top->max_response_bytes(), kLimits.response_bytes_default);

  const auto plain = UniversalSetProblemFromProto(
      test::ValidFindUniversalSetRequest(), kLimits);
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(plain->options().top_m, std::nullopt);
}

// The wire error names the place in the message, core's index kept.
TEST(UniversalSetConvertTest, CoreErrorsGetTheirProtoPath) {
  const auto request = test::ValidFindUniversalSetRequest();
  const auto problem = UniversalSetProblemFromProto(request, kLimits);
  ASSERT_TRUE(problem.ok()) << problem.status();
  const absl::Status keys =
      AtProtoPath(NotFiniteError("keys", 4, 1, 3, std::nan("")), *problem);
  EXPECT_EQ(DetailOf(keys)->field, "keys.dense.data");
  EXPECT_EQ(DetailOf(keys)->metadata.at("index"), "13");
}

TEST(UniversalSetConvertTest, CostCountsTheAnswerAndGrowsWithTheKeys) {
  v1::FindUniversalSetRequest request = test::ValidFindUniversalSetRequest();
  const auto small = UniversalSetProblemFromProto(request, kLimits);
  const Cost core = CostOfUniversalSet(1, 10, 3, 2);
  // 16 bytes an index and its sensitivity in the message, 9 on the wire.
  EXPECT_GE(CostOf(*small, 2).bytes, core.bytes + 10 * (16 + 9));
  EXPECT_EQ(CostOf(*small, 2).flops, core.flops);

  test::SetPlainTensor({1000, 3}, request.mutable_keys()->mutable_dense());
  const auto large = UniversalSetProblemFromProto(request, kLimits);
  EXPECT_GT(CostOf(*large, 2).bytes, CostOf(*small, 2).bytes);
  EXPECT_GT(CostOf(*large, 2).flops, CostOf(*small, 2).flops);
}

UniversalSet FullSet() {
  return {.indices = {1, 5},
          .sensitivities = {0.5, 0.75},
          .effective_epsilon = 0.2,
          .rank = 3,
          .size_bound = 12.0,
          .exact = true,
          .relative_score_error = 1e-12,
          .total_sensitivity = 3.0,
          .keys = 10,
          .condition_estimate = 17.0,
          .method = "Gram",
          .undecided = {5},
          .new_direction = {1},
          .upper_bounds = {0, 1}};
}

TEST(UniversalSetConvertTest, EveryFieldOfTheAnswerIsFilled) {
  v1::FindUniversalSetRequest request;
  SetEveryField(&request);
  const auto problem = UniversalSetProblemFromProto(request, kLimits);
  ASSERT_TRUE(problem.ok());
  const Timing timing{.queue = std::chrono::nanoseconds(1'000'000'002),
                      .compute = std::chrono::nanoseconds(3'000'000'004)};
  v1::FindUniversalSetResponse response;

  ASSERT_TRUE(
      ToProto({FullSet(), FullSet()}, *problem, timing, &response).ok());

  // Only streamed sets come in parts.
  EXPECT_THAT(test::UnsetFields(std::vector{response}),
              ElementsAre("steelyard.v1.UniversalSet.more_follows"));
  ASSERT_EQ(response.sets_size(), 2);
  EXPECT_THAT(response.sets(0).upper_bounds(), ElementsAre(false, true));
  const v1::UniversalSet& set = response.sets(1);
  EXPECT_THAT(set.indices(), ElementsAre(1, 5));
  EXPECT_THAT(set.sensitivities(), ElementsAre(0.5, 0.75));
  EXPECT_EQ(set.epsilon(), 0.25);
  EXPECT_EQ(set.effective_epsilon(), 0.2);
  EXPECT_EQ(set.rank(), 3);
  EXPECT_EQ(set.size_bound(), 12.0);
  EXPECT_TRUE(set.exact());
  EXPECT_EQ(set.relative_score_error(), 1e-12);
  EXPECT_EQ(set.total_sensitivity(), 3.0);
  EXPECT_EQ(set.keys(), 10);
  EXPECT_EQ(set.condition_estimate(), 17.0);
  EXPECT_EQ(set.method(), "Gram");
  EXPECT_EQ(set.head(), 1);
  EXPECT_THAT(set.undecided(), ElementsAre(5));
  EXPECT_THAT(set.new_direction(), ElementsAre(1));
  EXPECT_EQ(response.queue_time().nanos(), 2);
  EXPECT_EQ(response.compute_time().seconds(), 3);
}

TEST(UniversalSetConvertTest, AnswersOverTheLimitAreRefusedAndNotHalfFilled) {
  v1::FindUniversalSetRequest request = test::ValidFindUniversalSetRequest();
  const auto generous = UniversalSetProblemFromProto(request, kLimits);
  v1::FindUniversalSetResponse response;
  ASSERT_TRUE(ToProto({FullSet()}, *generous, {}, &response).ok());
  const auto bytes = static_cast<std::int64_t>(response.ByteSizeLong());

  request.set_max_response_bytes(bytes);
  const auto exact = UniversalSetProblemFromProto(request, kLimits);
  response.Clear();
  EXPECT_TRUE(ToProto({FullSet()}, *exact, {}, &response).ok());

  // One byte less; and so little that the lists alone tell.
  for (const std::int64_t max : {bytes - 1, std::int64_t{5}}) {
    request.set_max_response_bytes(max);
    const auto tight = UniversalSetProblemFromProto(request, kLimits);
    response.Clear();
    const absl::Status status = ToProto({FullSet()}, *tight, {}, &response);
    EXPECT_EQ(DetailOf(status)->reason, "RESPONSE_TOO_LARGE");
    EXPECT_THAT(std::string(status.message()), HasSubstr("larger epsilon"));
    EXPECT_EQ(response.ByteSizeLong(), 0u);
  }
}

TEST(UniversalSetConvertTest, EventsCarryTheSetsInHeadOrderInSmallParts) {
  const v1::FindUniversalSetRequest request =
      test::ValidFindUniversalSetRequest();
  const auto problem = UniversalSetProblemFromProto(request, kLimits);
  ASSERT_TRUE(problem.ok());
  UniversalSet large = FullSet();
  for (Index i = 0; i < 3000; ++i) {
    large.indices.push_back(10 + i);
    large.sensitivities.push_back(0.5);
    large.upper_bounds.push_back(1);
  }
  Limits limits;
  limits.chunk_bytes_max = 8192;
  std::vector<v1::UniversalSet> parts;
  ASSERT_TRUE(WriteSets({FullSet(), large}, *problem, limits,
                        [&](const v1::FindUniversalSetEvent& event) {
                          EXPECT_LE(event.ByteSizeLong(), 8192u);
                          parts.push_back(event.set());
                          return true;
                        })
                  .ok());
  const auto sets = test::Joined(parts);
  ASSERT_EQ(sets.size(), 2u);
  EXPECT_GT(parts.size(), 2u);
  EXPECT_EQ(sets[0].indices_size(), 2);
  EXPECT_EQ(sets[1].indices_size(), 3002);
  EXPECT_EQ(sets[1].head(), 1);
}

}  // namespace
}  // namespace steelyard::server
