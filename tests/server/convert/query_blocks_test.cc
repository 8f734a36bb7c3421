#include "server/convert/query_blocks.h"

#include "gtest/gtest.h"
#include "steelyard/status.h"

namespace steelyard::server {
namespace {

ErrorDetail Detail(const absl::Status& status) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  return DetailOf(status).value_or(ErrorDetail{});
}

TEST(QueryBlocksTest, AStreamIsOpenedOnceAndFirst) {
  EXPECT_TRUE(CheckOrder(true, false, false).ok());
  EXPECT_TRUE(CheckOrder(false, true, true).ok());
  EXPECT_EQ(Detail(CheckOrder(false, true, false)).reason,
            "MESSAGE_OUT_OF_ORDER");
  EXPECT_EQ(Detail(CheckOrder(false, true, false)).field, "block");
  EXPECT_EQ(Detail(CheckOrder(true, false, true)).reason,
            "MESSAGE_OUT_OF_ORDER");
  EXPECT_EQ(Detail(CheckOrder(false, false, true)).reason, "FIELD_REQUIRED");
  EXPECT_EQ(Detail(NeverOpenedError()).reason, "MESSAGE_OUT_OF_ORDER");
}

TEST(QueryBlocksTest, MessagesAreToldApart) {
  v1::StreamQueryHeavyRequest heavy;
  EXPECT_EQ(OpenOf(heavy), nullptr);
  EXPECT_EQ(BlockOf(heavy), nullptr);
  heavy.mutable_open();
  EXPECT_EQ(OpenOf(heavy), &heavy.open());
  v1::StreamAttendRequest attend;
  attend.mutable_block()->set_id(-7);
  EXPECT_EQ(OpenOf(attend), nullptr);
  ASSERT_NE(BlockOf(attend), nullptr);
  EXPECT_EQ(IdOf(*BlockOf(attend)), -7);
}

}  // namespace
}  // namespace steelyard::server
