#include "server/convert/score_function.h"

#include <functional>
#include <limits>
#include <string>

#include "gtest/gtest.h"
#include "steelyard/status.h"

namespace steelyard::server {
namespace {

constexpr Index kColumns = 64;

v1::ScoreFunction PowerProto(double p) {
  v1::ScoreFunction proto;
  proto.mutable_power()->set_p(p);
  return proto;
}

v1::ScoreFunction SumProto(const std::vector<PowerTerm>& terms) {
  v1::ScoreFunction proto;
  ToProto(ScoreFunction(PowerSum{terms}), &proto);
  return proto;
}

v1::ScoreFunction SoftmaxProto(int mode) {
  v1::ScoreFunction proto;
  proto.mutable_softmax()->set_mode(static_cast<v1::SoftmaxMode>(mode));
  return proto;
}

void ExpectRefused(const v1::ScoreFunction& proto, const std::string& reason,
                   const std::string& field) {
  const absl::Status status =
      ScoreFunctionFromProto(true, proto, kColumns).status();
  const ErrorDetail detail = DetailOf(status).value_or(ErrorDetail{});
  EXPECT_EQ(detail.reason, reason) << proto.ShortDebugString();
  EXPECT_EQ(detail.field, field) << proto.ShortDebugString();
}

TEST(ScoreFunctionConvertTest, UnsetIsTheSquare) {
  const auto function = ScoreFunctionFromProto(false, {}, kColumns);
  ASSERT_TRUE(function.ok());
  EXPECT_EQ(std::get<Power>(*function).p, 2.0);
}

TEST(ScoreFunctionConvertTest, EveryKindComesBackAsItWent) {
  v1::ScoreFunction scaled = SoftmaxProto(v1::SOFTMAX_MODE_HEURISTIC);
  scaled.mutable_softmax()->set_scale(-0.5);
  for (const v1::ScoreFunction& proto :
       {PowerProto(1.0), PowerProto(64.0), PowerProto(2.5),
        SumProto({{0.5, 1.0}, {1e-300, 64.0}}), scaled}) {
    const auto function = ScoreFunctionFromProto(true, proto, kColumns);
    ASSERT_TRUE(function.ok()) << function.status();
    v1::ScoreFunction back;
    ToProto(*function, &back);
    EXPECT_EQ(back.SerializeAsString(), proto.SerializeAsString());
  }
}

TEST(ScoreFunctionConvertTest, TheDefaultScaleOfSoftmaxIsThatOfAttention) {
  const auto function = ScoreFunctionFromProto(
      true, SoftmaxProto(v1::SOFTMAX_MODE_CERTIFIED), kColumns);
  ASSERT_TRUE(function.ok()) << function.status();
  EXPECT_EQ(std::get<Softmax>(*function).scale, 0.125);
  EXPECT_EQ(std::get<Softmax>(*function).mode, SoftmaxMode::kCertified);
}

TEST(ScoreFunctionConvertTest, WhatIsOutsideItsRangeIsRefused) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  ExpectRefused({}, "FIELD_REQUIRED", "function.power");
  for (const double p : {0.0, 0.999, 64.001, -2.0, kInf, kNaN}) {
    ExpectRefused(PowerProto(p), "FIELD_OUT_OF_RANGE", "function.power.p");
    ExpectRefused(SumProto({{1.0, 2.0}, {1.0, p}}), "FIELD_OUT_OF_RANGE",
                  "function.power_sum.terms[1].p");
  }
  for (const double c : {0.0, -1.0, kInf, kNaN}) {
    ExpectRefused(SumProto({{c, 2.0}}), "FIELD_OUT_OF_RANGE",
                  "function.power_sum.terms[0].coefficient");
  }
  v1::ScoreFunction empty_sum;
  empty_sum.mutable_power_sum();
  ExpectRefused(empty_sum, "FIELD_REQUIRED", "function.power_sum.terms");
  EXPECT_TRUE(ScoreFunctionFromProto(true, SumProto(std::vector<PowerTerm>(16)),
                                     kColumns)
                  .ok());
  ExpectRefused(SumProto(std::vector<PowerTerm>(17)), "LIMIT_EXCEEDED",
                "function.power_sum.terms");
  ExpectRefused(SoftmaxProto(v1::SOFTMAX_MODE_UNSPECIFIED), "FIELD_REQUIRED",
                "function.softmax.mode");
  ExpectRefused(SoftmaxProto(7), "UNKNOWN_ENUM", "function.softmax.mode");
  for (const double scale : {0.0, kInf, kNaN}) {
    v1::ScoreFunction proto = SoftmaxProto(v1::SOFTMAX_MODE_CERTIFIED);
    proto.mutable_softmax()->set_scale(scale);
    ExpectRefused(proto, "FIELD_OUT_OF_RANGE", "function.softmax.scale");
  }
}

TEST(ScoreFunctionConvertTest, TheSameScoresHaveMoreThanOneSpelling) {
  const ScoreFunction square = Power{2.0};
  EXPECT_TRUE(GiveTheSameScores(square, PowerSum{{{1.0, 2.0}}}));
  EXPECT_TRUE(GiveTheSameScores(square, PowerSum{{{3.0, 2.0}}}));
  EXPECT_TRUE(GiveTheSameScores(PowerSum{{{1.0, 2.0}, {2.0, 3.0}}},
                                PowerSum{{{4.0, 3.0}, {2.0, 2.0}}}));
  EXPECT_TRUE(GiveTheSameScores(PowerSum{{{1.0, 2.0}, {1.0, 2.0}}}, square));
  EXPECT_FALSE(GiveTheSameScores(square, Power{2.5}));
  EXPECT_FALSE(GiveTheSameScores(square, Softmax{}));
  EXPECT_FALSE(GiveTheSameScores(PowerSum{{{1.0, 2.0}, {2.0, 3.0}}},
                                 PowerSum{{{1.0, 2.0}, {3.0, 3.0}}}));
  EXPECT_TRUE(GiveTheSameScores(
      Softmax{.mode = SoftmaxMode::kHeuristic, .scale = 2.0},
      Softmax{.mode = SoftmaxMode::kCertified, .scale = 2.0}));
  EXPECT_FALSE(GiveTheSameScores(Softmax{.scale = 2.0}, Softmax{.scale = 1.0}));
}

}  // namespace
}  // namespace steelyard::server
