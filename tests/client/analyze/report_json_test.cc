#include "client/analyze/report_json.h"

#include <gtest/gtest.h>

#include "tests/client/analyze/small_report.h"

namespace steelyard::analyze {
namespace {

TEST(ReportJsonTest, HoldsEveryFigureOfAHead) {
  const nlohmann::ordered_json json = ToJson(test::SmallReport());
  EXPECT_EQ(json["version"], "1.2.3");
  EXPECT_EQ(json["near"], "within 3 positions");
  ASSERT_EQ(json["layers"].size(), 2u);
  EXPECT_EQ(json["layers"][0]["function"], "exp(0.5 <q, k>)");
  const auto& head = json["layers"][0]["heads"][0];
  EXPECT_EQ(head["queries_looked_at"], 2);
  EXPECT_DOUBLE_EQ(head["top_mass"]["median"], 0.95);
  EXPECT_EQ(head["top_mass"]["histogram"].size(), kMassBins);
  EXPECT_EQ(head["top_mass"]["histogram"][18], 1);
  EXPECT_EQ(head["top_mass"]["histogram"][19], 1);
  EXPECT_DOUBLE_EQ(head["near_mass"]["median"], 0.375);
  EXPECT_DOUBLE_EQ(head["important_mass"]["median"], 0.625);
  EXPECT_DOUBLE_EQ(head["important_and_near_mass"]["tenth"], 0.755);
  EXPECT_EQ(head["keys_kept"], 3.5);
  EXPECT_EQ(head["set_sizes"][0]["epsilon"], 1.0);
  EXPECT_EQ(head["set_sizes"][0]["size"], 1);
  EXPECT_EQ(head["sensitivities"].size(), 4u);
}

}  // namespace
}  // namespace steelyard::analyze
