#include "server/errors/grpc_status.h"

#include <map>
#include <optional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/errors/errors.h"
#include "steelyard/status.h"
#include "steelyard/v1/error_details.pb.h"

namespace steelyard::server {
namespace {

using std::chrono::milliseconds;

v1::RpcStatus Details(const grpc::Status& status) {
  v1::RpcStatus details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  return details;
}

// The detail of this google.rpc name, as any language's helper looks it up.
template <typename Detail>
std::optional<Detail> Find(const v1::RpcStatus& status,
                           const std::string& name) {
  for (const google::protobuf::Any& any : status.details()) {
    if (any.type_url() == "type.googleapis.com/google.rpc." + name) {
      Detail detail;
      EXPECT_TRUE(detail.ParseFromString(any.value()));
      return detail;
    }
  }
  return std::nullopt;
}

TEST(GrpcStatusTest, BadFieldBecomesErrorInfoAndBadRequest) {
  const grpc::Status status =
      ToGrpcStatus(WrongShapeError("b.shape[0]", "is 99", "a has 100 rows"));

  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "b.shape[0] is 99; a has 100 rows");
  const v1::RpcStatus details = Details(status);
  EXPECT_EQ(details.code(), 3);
  EXPECT_EQ(details.message(), status.error_message());
  EXPECT_EQ(details.details_size(), 2);
  const auto info = Find<v1::ErrorInfo>(details, "ErrorInfo");
  ASSERT_TRUE(info.has_value());
  EXPECT_EQ(info->domain(), "steelyard");
  EXPECT_EQ(info->reason(), "WRONG_SHAPE");
  const auto bad_request = Find<v1::BadRequest>(details, "BadRequest");
  ASSERT_TRUE(bad_request.has_value());
  ASSERT_EQ(bad_request->field_violations_size(), 1);
  EXPECT_EQ(bad_request->field_violations(0).field(), "b.shape[0]");
  EXPECT_EQ(bad_request->field_violations(0).description(),
            status.error_message());
}

TEST(GrpcStatusTest, BusyBecomesRetryInfoAndQuotaFailure) {
  const v1::RpcStatus details =
      Details(ToGrpcStatus(QueueFullError(64, milliseconds(1250))));
  const auto retry = Find<v1::RetryInfo>(details, "RetryInfo");
  ASSERT_TRUE(retry.has_value());
  EXPECT_EQ(retry->retry_delay().seconds(), 1);
  EXPECT_EQ(retry->retry_delay().nanos(), 250'000'000);
  const auto quota = Find<v1::QuotaFailure>(details, "QuotaFailure");
  ASSERT_TRUE(quota.has_value());
  EXPECT_EQ(quota->violations(0).subject(), "queue");
  EXPECT_FALSE(Find<v1::BadRequest>(details, "BadRequest").has_value());
}

TEST(GrpcStatusTest, MetadataIsCarried) {
  const v1::RpcStatus details =
      Details(ToGrpcStatus(NotFiniteError("keys", 7, 2, 10, 0.0 / 0.0)));
  EXPECT_EQ(Find<v1::ErrorInfo>(details, "ErrorInfo")->metadata().at("index"),
            "72");
}

TEST(GrpcStatusTest, EveryCodeHasAPlaceAndNoneIsUnknown) {
  const std::map<absl::StatusCode, grpc::StatusCode> named = {
      {absl::StatusCode::kCancelled, grpc::StatusCode::CANCELLED},
      {absl::StatusCode::kInvalidArgument, grpc::StatusCode::INVALID_ARGUMENT},
      {absl::StatusCode::kDeadlineExceeded,
       grpc::StatusCode::DEADLINE_EXCEEDED},
      {absl::StatusCode::kNotFound, grpc::StatusCode::NOT_FOUND},
      {absl::StatusCode::kAlreadyExists, grpc::StatusCode::ALREADY_EXISTS},
      {absl::StatusCode::kResourceExhausted,
       grpc::StatusCode::RESOURCE_EXHAUSTED},
      {absl::StatusCode::kFailedPrecondition,
       grpc::StatusCode::FAILED_PRECONDITION},
      {absl::StatusCode::kAborted, grpc::StatusCode::ABORTED},
      {absl::StatusCode::kUnavailable, grpc::StatusCode::UNAVAILABLE},
      {absl::StatusCode::kInternal, grpc::StatusCode::INTERNAL},
  };
  // 1 to 16 are all codes of absl and gRPC; above: made of a wild cast.
  for (int code = 1; code <= 20; ++code) {
    const auto absl_code = static_cast<absl::StatusCode>(code);
    const grpc::Status status = ToGrpcStatus(absl::Status(absl_code, "text"));
    const auto place = named.find(absl_code);
    EXPECT_EQ(status.error_code(),
              place == named.end() ? grpc::StatusCode::INTERNAL : place->second)
        << code;
    EXPECT_EQ(status.error_message(), "text");
  }
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
}

TEST(GrpcStatusTest, StaysBelowTheBoundWhateverTheTextsAre) {
  const std::string texts[] = {std::string(100'000, 'x'),
                               std::string(100'000, '\xff'),
                               std::string(50'000, '\0')};
  for (const std::string& text : texts) {
    ErrorDetail detail{.reason = text, .field = text, .metadata = {}};
    for (int i = 0; i < 100; ++i) {
      detail.metadata[std::to_string(i) + text] = text;
    }
    const grpc::Status status = ToGrpcStatus(
        ErrorWithDetail(absl::StatusCode::kInvalidArgument, text, detail));
    EXPECT_LT(status.error_message().size() + status.error_details().size(),
              kStatusBytesMax);
    EXPECT_TRUE(Find<v1::ErrorInfo>(Details(status), "ErrorInfo").has_value());
  }
}

TEST(GrpcStatusTest, TextsAreCutAtCharactersAndAreValidUtf8) {
  // 2, 3 and 4 bytes a character, so that cuts fall inside.
  for (const std::string character : {"\u00e9", "\u20ac", "\U0001f600"}) {
    for (int shift = 0; shift < 4; ++shift) {
      std::string text(static_cast<std::size_t>(shift), 'a');
      while (text.size() < 5000) text += character;
      const grpc::Status status = ToGrpcStatus(FieldRequiredError(text, text));
      // A string field that is not UTF-8 does not parse.
      const v1::RpcStatus details = Details(status);
      EXPECT_EQ(details.message().substr(details.message().size() - 3), "...");
      EXPECT_GT(details.message().size(), 600u);
    }
  }
}

TEST(GrpcStatusTest, BytesThatAreNoCharacterAreReplaced) {
  EXPECT_EQ(ToGrpcStatus(absl::InternalError("a\xff"
                                             "b\xc3"))
                .error_message(),
            "a?b?");
  // Overlong '/', a surrogate, above U+10FFFF.
  EXPECT_EQ(ToGrpcStatus(absl::InternalError("\xc0\xaf \xed\xa0\x80 "
                                             "\xf4\x90\x80\x80"))
                .error_message(),
            "?? ??? ????");
  EXPECT_EQ(ToGrpcStatus(absl::InternalError("\u20ac")).error_message(),
            "\u20ac");
}

}  // namespace
}  // namespace steelyard::server
