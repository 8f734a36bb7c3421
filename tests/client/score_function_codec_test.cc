#include "client/src/score_function_codec.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/support/filled_message.h"

namespace steelyard::client {
namespace {

TEST(ScoreFunctionCodecTest, PowersThereAndBack) {
  v1::ScoreFunction wire;
  ToProto(Power{1.5}, &wire);
  EXPECT_EQ(wire.power().p(), 1.5);
  const auto back = FromProto(wire);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(std::get<Power>(*back).p, 1.5);
}

TEST(ScoreFunctionCodecTest, SumsThereAndBack) {
  v1::ScoreFunction wire;
  ToProto(PowerSum{{{0.5, 1.0}, {2.0, 4.0}}}, &wire);
  ASSERT_EQ(wire.power_sum().terms_size(), 2);
  const auto back = FromProto(wire);
  ASSERT_TRUE(back.has_value());
  const auto& terms = std::get<PowerSum>(*back).terms;
  ASSERT_EQ(terms.size(), 2U);
  EXPECT_EQ(terms[0].coefficient, 0.5);
  EXPECT_EQ(terms[0].p, 1.0);
  EXPECT_EQ(terms[1].coefficient, 2.0);
  EXPECT_EQ(terms[1].p, 4.0);
}

TEST(ScoreFunctionCodecTest, SoftmaxThereAndBack) {
  v1::ScoreFunction wire;
  ToProto(Softmax{SoftmaxMode::kHeuristic, 0.25}, &wire);
  EXPECT_EQ(wire.softmax().mode(), v1::SOFTMAX_MODE_HEURISTIC);
  const auto heuristic = std::get<Softmax>(*FromProto(wire));
  EXPECT_EQ(heuristic.mode, SoftmaxMode::kHeuristic);
  EXPECT_EQ(heuristic.scale, 0.25);
  EXPECT_THAT(test::UnsetFields(wire), testing::IsEmpty());

  ToProto(Softmax{}, &wire);
  EXPECT_EQ(wire.softmax().mode(), v1::SOFTMAX_MODE_CERTIFIED);
  wire.mutable_softmax()->clear_scale();
  EXPECT_FALSE(std::get<Softmax>(*FromProto(wire)).scale.has_value());
}

TEST(ScoreFunctionCodecTest, UnsetIsNothing) {
  EXPECT_FALSE(FromProto(v1::ScoreFunction()).has_value());
}

}  // namespace
}  // namespace steelyard::client
