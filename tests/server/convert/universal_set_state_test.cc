#include "server/convert/universal_set_state.h"

#include <functional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/status.h"
#include "tests/server/convert/field_coverage.h"

namespace steelyard::server {
namespace {

const Limits kLimits;

// Two heads: one with keys, one without.
SessionState FullState() {
  SessionState state{.description = {.heads = 2,
                                     .columns = 2,
                                     .epsilon = 0.25,
                                     .top_m = 9,
                                     .function = Power{1.5},
                                     .causal = true},
                     .storage = StorageType::kFloat32,
                     .heads = std::vector<OnePassState>(2),
                     .first_index = {7, 50}};
  OnePassState& head = state.heads[0];
  head.ranges = {{.first = 7, .count = 3}, {.first = 20, .count = 1}};
  head.factor = Matrix<double>(2, 2);
  head.factor(0, 0) = 1.5;
  head.factor(0, 1) = -0.25;
  head.factor(1, 1) = 0.75;
  head.column_exponents = {3, -4};
  head.factor_error = 1e-12;
  head.householder_error = 1e-14;
  head.indices = {8, 20};
  head.candidates.resize(2 * 2 * sizeof(float), std::byte{17});
  head.arrival_scores = {0.5, 0.75};
  head.arrival_errors = {1e-12, 1e-11};
  head.arrival_total = 2.5;
  head.arrival_bound = 2.75;
  head.coreset = "coreset";
  state.heads[1].factor = Matrix<double>(2, 2);
  return state;
}

v1::UniversalSetState Proto() {
  v1::UniversalSetState proto;
  EXPECT_TRUE(proto.ParseFromString(*SerializedState(FullState())));
  return proto;
}

TEST(UniversalSetStateTest, EveryFieldIsWrittenAndReadBack) {
  auto unset = test::UnsetFields(std::vector{Proto()});
  std::erase_if(unset, [](const std::string& field) {
    return field.starts_with("steelyard.v1.PowerSum.") ||
           field.starts_with("steelyard.v1.PowerTerm.") ||
           field.starts_with("steelyard.v1.Softmax.") ||
           field == "steelyard.v1.ScoreFunction.power_sum" ||
           field == "steelyard.v1.ScoreFunction.softmax" ||
           field == "steelyard.v1.Tensor.values";
  });
  EXPECT_THAT(unset, testing::IsEmpty());

  const auto bytes = SerializedState(FullState());
  ASSERT_TRUE(bytes.ok());
  const auto state = ParsedState(*bytes, kLimits);
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(*SerializedState(*state), *bytes);
  EXPECT_EQ(state->description.columns, 2);
  EXPECT_EQ(state->description.top_m, 9);
  EXPECT_TRUE(state->description.causal);
  EXPECT_EQ(state->storage, StorageType::kFloat32);
  EXPECT_THAT(state->first_index, testing::ElementsAre(7, 50));
  const OnePassState& head = state->heads[0];
  EXPECT_EQ(head.ranges[1].first, 20);
  EXPECT_EQ(head.factor(0, 1), -0.25);
  EXPECT_THAT(head.column_exponents, testing::ElementsAre(3, -4));
  EXPECT_THAT(head.indices, testing::ElementsAre(8, 20));
  EXPECT_EQ(head.candidates, FullState().heads[0].candidates);
  EXPECT_EQ(head.coreset, "coreset");
  EXPECT_TRUE(state->heads[1].ranges.empty());
}

TEST(UniversalSetStateTest, StatesThatContradictThemselvesAreRefused) {
  using State = v1::UniversalSetState;
  struct Damage {
    const char* field;
    std::function<void(State*)> mutate;
  };
  const std::vector<Damage> all = {
      {"state.format", [](State* s) { s->set_format(0); }},
      {"state.dtype", [](State* s) { s->set_dtype(v1::DTYPE_INT64); }},
      {"state.columns", [](State* s) { s->set_columns(0); }},
      {"state.epsilon", [](State* s) { s->set_epsilon(2.0); }},
      {"state.top_m", [](State* s) { s->set_top_m(0); }},
      {"state.function",
       [](State* s) { s->mutable_function()->mutable_softmax(); }},
      {"state.heads", [](State* s) { s->clear_heads(); }},
      {"state.heads[0].ranges",
       [](State* s) { s->mutable_heads(0)->clear_ranges(); }},
      {"state.heads[1].ranges",
       [](State* s) { s->mutable_heads(1)->mutable_ranges(0)->set_first(-1); }},
      {"state.heads[0].factor.dtype",
       [](State* s) {
         s->mutable_heads(0)->mutable_factor()->set_dtype(v1::DTYPE_FLOAT32);
       }},
      {"state.heads[0].factor.shape",
       [](State* s) {
         s->mutable_heads(0)->mutable_factor()->set_shape(1, 3);
       }},
      {"state.heads[0].factor.data",
       [](State* s) {
         s->mutable_heads(0)->mutable_factor()->mutable_data()->pop_back();
       }},
      {"state.heads[0].candidates.shape",
       [](State* s) {
         s->mutable_heads(0)->add_indices(30);
         s->mutable_heads(0)->add_arrival_scores(0.5);
         s->mutable_heads(0)->add_arrival_errors(0.5);
       }},
      {"state.heads[0].candidates.data",
       [](State* s) {
         s->mutable_heads(0)->mutable_candidates()->clear_data();
       }},
      {"state.heads[0].arrival_scores",
       [](State* s) { s->mutable_heads(0)->clear_arrival_scores(); }},
      {"state.heads[0].arrival_errors",
       [](State* s) { s->mutable_heads(0)->clear_arrival_errors(); }},
  };
  for (const Damage& damage : all) {
    SCOPED_TRACE(damage.field);
    State proto = Proto();
    damage.mutate(&proto);
    const absl::Status status =
        ParsedState(proto.SerializeAsString(), kLimits).status();
    const ErrorDetail detail = DetailOf(status).value_or(ErrorDetail{});
    EXPECT_EQ(detail.reason, "STATE_CORRUPT") << status;
    EXPECT_EQ(detail.field, damage.field);
  }
  const absl::Status noise = ParsedState("\xFF\xFFnoise", kLimits).status();
  EXPECT_EQ(DetailOf(noise)->field, "state");
}

TEST(UniversalSetStateTest, NewerFormatsAndLimitsAreTold) {
  v1::UniversalSetState proto = Proto();
  proto.set_format(2);
  EXPECT_EQ(DetailOf(ParsedState(proto.SerializeAsString(), kLimits).status())
                ->reason,
            "STATE_FORMAT_TOO_NEW");
  Limits narrow;
  narrow.columns_max = 1;
  EXPECT_EQ(DetailOf(ParsedState(Proto().SerializeAsString(), narrow).status())
                ->reason,
            "LIMIT_EXCEEDED");
}

TEST(UniversalSetStateTest, ErrorsOfCoreGetTheHeadsPath) {
  const absl::Status status = AtHeadState(
      ErrorWithDetail(absl::StatusCode::kInvalidArgument, "ranges overlap",
                      {.reason = "STATE_CORRUPT", .field = "ranges"}),
      3);
  EXPECT_EQ(DetailOf(status)->field, "state.heads[3].ranges");
}

}  // namespace
}  // namespace steelyard::server
