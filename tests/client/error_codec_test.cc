#include "client/src/error_codec.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/v1/error_details.pb.h"

namespace steelyard::client {
namespace {

using testing::ElementsAre;
using testing::Pair;

template <typename Message>
void AddDetail(const char* name, const Message& message,
               v1::RpcStatus* status) {
  google::protobuf::Any* any = status->add_details();
  any->set_type_url(std::string("type.googleapis.com/google.rpc.") + name);
  any->set_value(message.SerializeAsString());
}

TEST(ErrorCodecTest, EveryDetailIsDecoded) {
  v1::RpcStatus wire;
  wire.set_code(3);
  v1::ErrorInfo info;
  info.set_reason("NOT_FINITE");
  info.set_domain("steelyard");
  (*info.mutable_metadata())["index"] = "17";
  AddDetail("ErrorInfo", info, &wire);
  v1::BadRequest bad_request;
  bad_request.add_field_violations()->set_field("keys.dense");
  AddDetail("BadRequest", bad_request, &wire);
  v1::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(2);
  retry.mutable_retry_delay()->set_nanos(500'000'000);
  AddDetail("RetryInfo", retry, &wire);
  v1::QuotaFailure quota;
  quota.add_violations()->set_subject("memory");
  quota.mutable_violations(0)->set_description("12 of 10 bytes");
  AddDetail("QuotaFailure", quota, &wire);

  absl::Status status =
      StatusFromWire(3, "keys has a NaN", wire.SerializeAsString());
  AttachRecord({.request_id = "id 7", .attempts = 3}, &status);

  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "keys has a NaN");
  const auto detail = DetailOf(status);
  ASSERT_TRUE(detail.has_value());
  EXPECT_EQ(detail->reason, "NOT_FINITE");
  EXPECT_EQ(detail->field, "keys.dense");
  EXPECT_THAT(detail->metadata, ElementsAre(Pair("index", "17")));
  EXPECT_EQ(detail->retry_delay, Seconds(2.5));
  EXPECT_THAT(detail->quota_violations, ElementsAre("memory: 12 of 10 bytes"));
  EXPECT_EQ(detail->request_id, "id 7");
  EXPECT_EQ(detail->attempts, 3);
}

TEST(ErrorCodecTest, UnknownDetailsAreSkipped) {
  v1::RpcStatus wire;
  AddDetail("Help", v1::ErrorInfo(), &wire);
  v1::ErrorInfo info;
  info.set_reason("DRAINING");
  AddDetail("ErrorInfo", info, &wire);
  const auto detail =
      DetailOf(StatusFromWire(14, "", wire.SerializeAsString()));
  ASSERT_TRUE(detail.has_value());
  EXPECT_EQ(detail->reason, "DRAINING");
  EXPECT_FALSE(detail->retry_delay.has_value());
}

TEST(ErrorCodecTest, GarbageInTheTrailerLeavesCodeAndMessage) {
  const absl::Status status = StatusFromWire(13, "oops", "\xff\xff\xff");
  EXPECT_EQ(status, absl::InternalError("oops"));
  EXPECT_FALSE(DetailOf(status).has_value());
}

TEST(ErrorCodecTest, LocalErrorsCarryWhatServerErrorsCarry) {
  const auto detail =
      DetailOf(LocalError(absl::StatusCode::kInvalidArgument, "no",
                          {.reason = "WRONG_SIZE",
                           .field = "a.dense",
                           .metadata = {{"value", "3"}}}));
  ASSERT_TRUE(detail.has_value());
  EXPECT_EQ(detail->reason, "WRONG_SIZE");
  EXPECT_EQ(detail->field, "a.dense");
  EXPECT_THAT(detail->metadata, ElementsAre(Pair("value", "3")));
  EXPECT_EQ(detail->attempts, 0);
}

TEST(ErrorCodecTest, StatusesOfOthersHaveNoDetail) {
  EXPECT_FALSE(DetailOf(absl::OkStatus()).has_value());
  EXPECT_FALSE(DetailOf(absl::InternalError("x")).has_value());
  absl::Status ok;
  AttachRecord({.request_id = "r", .attempts = 1}, &ok);
  EXPECT_TRUE(ok.ok());
  EXPECT_EQ(BrokenAnswer("x").code(), absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace steelyard::client
