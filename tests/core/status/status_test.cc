#include "steelyard/status.h"

#include <limits>

#include "gtest/gtest.h"

namespace steelyard {
namespace {

TEST(StatusTest, DetailSurvivesTheRoundTrip) {
  const absl::Status status = ErrorWithDetail(
      absl::StatusCode::kInvalidArgument, "b.shape[0] is 99; a has 100 rows",
      {.reason = "WRONG_SHAPE", .field = "b.shape[0]", .metadata = {{"k", "v"}}});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  const auto detail = DetailOf(status);
  ASSERT_TRUE(detail.has_value());
  EXPECT_EQ(detail->reason, "WRONG_SHAPE");
  EXPECT_EQ(detail->field, "b.shape[0]");
  EXPECT_EQ(detail->metadata.at("k"), "v");
}

TEST(StatusTest, PlainStatusHasNoDetail) {
  EXPECT_FALSE(DetailOf(absl::InternalError("x")).has_value());
}

TEST(StatusTest, NotFiniteNamesRowColumnAndFlatIndex) {
  const absl::Status status =
      NotFiniteError("keys", 7, 2, 10, std::numeric_limits<double>::infinity());
  EXPECT_EQ(status.message(), "keys[7,2] is inf; every number must be finite");
  EXPECT_EQ(DetailOf(status)->metadata.at("index"), "72");
}

}  // namespace
}  // namespace steelyard
