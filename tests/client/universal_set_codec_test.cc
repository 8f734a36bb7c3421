#include "client/src/universal_set_codec.h"

#include <sstream>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/client/error_detail.h"
#include "tests/client/support/filled_message.h"

namespace steelyard::client {
namespace {

template <typename T>
void Print(const std::vector<T>& numbers, std::ostream& out) {
  out << "[";
  for (const T& number : numbers) out << number << " ";
  out << "] ";
}

// Every member of the structs; what a converter forgets does not show here.
std::string Describe(const UniversalSets& sets) {
  std::ostringstream out;
  out.precision(17);  // All digits of a double.
  out << sets.queue_time.count() << " " << sets.compute_time.count() << " ";
  for (const UniversalSet& set : sets.heads) {
    Print(set.indices, out);
    Print(set.sensitivities, out);
    out << set.head << " " << set.epsilon << " " << set.effective_epsilon << " "
        << set.rank << " " << set.size_bound << " " << set.exact << " "
        << set.relative_score_error << " " << set.total_sensitivity << " "
        << set.keys << " " << set.condition_estimate << " " << set.method;
    Print(set.upper_bounds, out);
    Print(set.undecided, out);
    Print(set.new_direction, out);
  }
  return out.str();
}

const ClientOptions kLimits{.request_bytes_max = 1000,
                            .response_bytes_max = 777};

TEST(UniversalSetCodecTest, EveryFieldOfTheAnswersIsRead) {
  v1::FindUniversalSetResponse sets;
  test::FillEveryField(&sets);
  EXPECT_THAT(
      test::UnreadFields(
          sets,
          [](const google::protobuf::Message& message) {
            return Describe(FromProto(
                dynamic_cast<const v1::FindUniversalSetResponse&>(message)));
          }),
      // SetParts reads it.
      testing::ElementsAre("FindUniversalSetResponse.sets.more_follows"));
}

TEST(UniversalSetCodecTest, ValuesOfTheAnswerArriveWhereTheyBelong) {
  v1::FindUniversalSetResponse response;
  v1::UniversalSet* wire = response.add_sets();
  wire->add_indices(5);
  wire->add_sensitivities(0.75);
  wire->set_epsilon(0.5);
  wire->set_rank(3);
  wire->set_exact(true);
  wire->set_head(2);
  wire->add_undecided(5);
  response.mutable_queue_time()->set_seconds(2);
  const UniversalSets sets = FromProto(response);
  ASSERT_EQ(sets.heads.size(), 1U);
  EXPECT_EQ(sets.heads[0].indices, std::vector<std::int64_t>{5});
  EXPECT_EQ(sets.heads[0].sensitivities, std::vector<double>{0.75});
  EXPECT_EQ(sets.heads[0].epsilon, 0.5);
  EXPECT_EQ(sets.heads[0].rank, 3);
  EXPECT_TRUE(sets.heads[0].exact);
  EXPECT_EQ(sets.heads[0].head, 2);
  EXPECT_EQ(sets.heads[0].undecided, std::vector<std::int64_t>{5});
  EXPECT_TRUE(sets.heads[0].new_direction.empty());
  EXPECT_EQ(sets.queue_time, Seconds(2.0));
}

TEST(UniversalSetCodecTest, EveryFieldOfTheRequestIsSet) {
  const Eigen::MatrixXd keys = Eigen::MatrixXd::Ones(2, 3);
  v1::FindUniversalSetRequest request;
  ASSERT_TRUE(ToProto(keys,
                      {.epsilon = 0.25,
                       .top_m = 4,
                       .function = Power{3.0},
                       .causal = true,
                       .ridge = RidgeVariant{0.5, 2.0},
                       .selection = Selection::kFast,
                       .lengths = {1},
                       .keep = {"layer-0", Seconds(90.5)},
                       .seed = 9},
                      kLimits, &request)
                  .ok());
  // `values` is for requests written by hand.
  EXPECT_THAT(
      test::UnsetFields(request),
      testing::ElementsAre("FindUniversalSetRequest.keys.dense.values"));
  EXPECT_EQ(request.epsilon(), 0.25);
  EXPECT_EQ(request.top_m(), 4);
  EXPECT_EQ(request.function().power().p(), 3.0);
  EXPECT_TRUE(request.causal());
  EXPECT_EQ(request.ridge().lambda(), 0.5);
  EXPECT_EQ(request.ridge().ratio(), 2.0);
  EXPECT_EQ(request.selection(), v1::SELECTION_FAST);
  EXPECT_THAT(request.lengths(), testing::ElementsAre(1));
  EXPECT_EQ(request.set_id(), "layer-0");
  EXPECT_EQ(request.ttl().seconds(), 90);
  EXPECT_EQ(request.ttl().nanos(), 500000000);
  EXPECT_EQ(request.seed(), 9U);
  EXPECT_EQ(request.max_response_bytes(), 777);
  EXPECT_THAT(request.keys().dense().shape(), testing::ElementsAre(2, 3));
}

TEST(UniversalSetCodecTest, EverySelectionHasItsNumber) {
  const Eigen::MatrixXd keys = Eigen::MatrixXd::Ones(2, 3);
  const std::pair<Selection, v1::Selection> rows[] = {
      {Selection::kAutomatic, v1::SELECTION_UNSPECIFIED},
      {Selection::kDirect, v1::SELECTION_DIRECT},
      {Selection::kFast, v1::SELECTION_FAST},
      {Selection::kJohnsonLindenstrauss, v1::SELECTION_JOHNSON_LINDENSTRAUSS},
  };
  for (const auto& [selection, wire] : rows) {
    v1::FindUniversalSetRequest request;
    ASSERT_TRUE(
        ToProto(keys, {.top_m = 1, .selection = selection}, kLimits, &request)
            .ok());
    EXPECT_EQ(request.selection(), wire);
  }
}

TEST(UniversalSetCodecTest, WhatIsUnsetStaysUnset) {
  const Eigen::MatrixXd keys = Eigen::MatrixXd::Ones(2, 3);
  v1::FindUniversalSetRequest request;
  ASSERT_TRUE(ToProto(keys, {.top_m = 1}, kLimits, &request).ok());
  EXPECT_EQ(request.epsilon(), 0.0);
  EXPECT_FALSE(request.has_seed());
  EXPECT_FALSE(request.has_ridge());
  EXPECT_FALSE(request.has_ttl());
  EXPECT_TRUE(request.set_id().empty());
  EXPECT_EQ(request.function().power().p(), 2.0);
}

TEST(UniversalSetCodecTest, WrongTensorsAreNamedByTheirPath) {
  const Eigen::MatrixXd empty(0, 3);
  v1::FindUniversalSetRequest find;
  EXPECT_EQ(DetailOf(ToProto(empty, {.epsilon = 0.5}, kLimits, &find))->field,
            "keys.dense.shape[0]");
}

}  // namespace
}  // namespace steelyard::client
