#include "server/convert/threshold.h"

#include <limits>

#include "gtest/gtest.h"
#include "steelyard/status.h"

namespace steelyard::server {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

std::string ReasonOf(const absl::Status& status) {
  return DetailOf(status).value_or(ErrorDetail{}).reason;
}

TEST(ThresholdTest, UnsetStaysUnset) {
  const auto none = ThresholdFromProto(0.0, std::nullopt);
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_EQ(none->epsilon, std::nullopt);
  EXPECT_EQ(none->top_m, std::nullopt);
  const auto both = ThresholdFromProto(1.0, 7);
  ASSERT_TRUE(both.ok()) << both.status();
  EXPECT_EQ(both->epsilon, 1.0);
  EXPECT_EQ(both->top_m, 7);
}

TEST(ThresholdTest, OneOfTheTwoIsRequiredWhereASetIsLookedFor) {
  EXPECT_EQ(ReasonOf(RequiredThreshold(0.0, std::nullopt).status()),
            "FIELD_REQUIRED");
  EXPECT_TRUE(RequiredThreshold(0.0, 1).ok());
  EXPECT_TRUE(RequiredThreshold(0.5, std::nullopt).ok());
}

TEST(ThresholdTest, EpsilonIsInTheUnitIntervalAndTopMPositive) {
  for (const double epsilon : {-1.0, -0.0001, 1.0000001, kNaN}) {
    EXPECT_EQ(ReasonOf(ThresholdFromProto(epsilon, std::nullopt).status()),
              "FIELD_OUT_OF_RANGE")
        << epsilon;
    EXPECT_EQ(ReasonOf(RequiredThreshold(epsilon, 3).status()),
              "FIELD_OUT_OF_RANGE")
        << epsilon;
    EXPECT_EQ(ReasonOf(EpsilonFromProto(epsilon).status()),
              "FIELD_OUT_OF_RANGE")
        << epsilon;
  }
  for (const std::int64_t top_m : {0, -5}) {
    const absl::Status status = ThresholdFromProto(0.5, top_m).status();
    EXPECT_EQ(ReasonOf(status), "FIELD_OUT_OF_RANGE");
    EXPECT_EQ(DetailOf(status)->field, "top_m");
  }
  EXPECT_EQ(ReasonOf(EpsilonFromProto(0.0).status()), "FIELD_REQUIRED");
  EXPECT_EQ(EpsilonFromProto(5e-324).value(), 5e-324);
}

}  // namespace
}  // namespace steelyard::server
