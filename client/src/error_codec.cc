#include "error_codec.h"

#include <charconv>
#include <optional>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "steelyard/v1/error_details.pb.h"

namespace steelyard::client {
namespace {

constexpr char kRpcStatusUrl[] = "type.googleapis.com/google.rpc.Status";
constexpr char kErrorInfoUrl[] = "type.googleapis.com/google.rpc.ErrorInfo";
constexpr char kBadRequestUrl[] = "type.googleapis.com/google.rpc.BadRequest";
constexpr char kRetryInfoUrl[] = "type.googleapis.com/google.rpc.RetryInfo";
constexpr char kQuotaFailureUrl[] =
    "type.googleapis.com/google.rpc.QuotaFailure";

// Payload of ours: "ATTEMPTS REQUEST_ID".
constexpr char kCallRecordUrl[] = "steelyard/call-record";

// True and parsed when `any` holds the message of this type URL.
template <typename Message>
bool Unpack(const google::protobuf::Any& any, const char* url,
            Message* message) {
  return any.type_url() == url && message->ParseFromString(any.value());
}

void DecodeOne(const google::protobuf::Any& any, ErrorDetail* detail) {
  v1::ErrorInfo info;
  v1::BadRequest bad_request;
  v1::RetryInfo retry;
  v1::QuotaFailure quota;
  if (Unpack(any, kErrorInfoUrl, &info)) {
    detail->reason = info.reason();
    detail->metadata.insert(info.metadata().begin(), info.metadata().end());
  } else if (Unpack(any, kBadRequestUrl, &bad_request)) {
    if (bad_request.field_violations_size() > 0) {
      detail->field = bad_request.field_violations(0).field();
    }
  } else if (Unpack(any, kRetryInfoUrl, &retry)) {
    detail->retry_delay =
        Seconds(static_cast<double>(retry.retry_delay().seconds()) +
                1e-9 * retry.retry_delay().nanos());
  } else if (Unpack(any, kQuotaFailureUrl, &quota)) {
    for (const auto& violation : quota.violations()) {
      detail->quota_violations.push_back(
          absl::StrCat(violation.subject(), ": ", violation.description()));
    }
  }
}

void DecodeRecord(const std::string& record, ErrorDetail* detail) {
  const std::size_t blank = record.find(' ');
  if (blank == std::string::npos) return;
  std::from_chars(record.data(), record.data() + blank, detail->attempts);
  detail->request_id = record.substr(blank + 1);
}

}  // namespace

absl::Status StatusFromWire(int code, const std::string& message,
                            const std::string& details) {
  absl::Status status(static_cast<absl::StatusCode>(code), message);
  v1::RpcStatus wire;
  if (!details.empty() && wire.ParseFromString(details)) {
    status.SetPayload(kRpcStatusUrl, absl::Cord(details));
  }
  return status;
}

absl::Status LocalError(absl::StatusCode code, const std::string& message,
                        const ErrorDetail& detail) {
  v1::RpcStatus wire;
  wire.set_code(static_cast<int>(code));
  wire.set_message(message);
  v1::ErrorInfo info;
  info.set_reason(detail.reason);
  info.set_domain("steelyard");
  info.mutable_metadata()->insert(detail.metadata.begin(),
                                  detail.metadata.end());
  google::protobuf::Any* any = wire.add_details();
  any->set_type_url(kErrorInfoUrl);
  any->set_value(info.SerializeAsString());
  if (!detail.field.empty()) {
    v1::BadRequest bad_request;
    auto* violation = bad_request.add_field_violations();
    violation->set_field(detail.field);
    violation->set_description(message);
    any = wire.add_details();
    any->set_type_url(kBadRequestUrl);
    any->set_value(bad_request.SerializeAsString());
  }
  return StatusFromWire(static_cast<int>(code), message,
                        wire.SerializeAsString());
}

absl::Status BrokenAnswer(const std::string& what) {
  return absl::InternalError(
      absl::StrCat("the server's answer breaks the contract: ", what));
}

void AttachRecord(const CallRecord& record, absl::Status* status) {
  if (status->ok()) return;
  status->SetPayload(
      kCallRecordUrl,
      absl::Cord(absl::StrCat(record.attempts, " ", record.request_id)));
}

std::optional<ErrorDetail> DetailOf(const absl::Status& status) {
  const auto wire_bytes = status.GetPayload(kRpcStatusUrl);
  const auto record = status.GetPayload(kCallRecordUrl);
  if (!wire_bytes.has_value() && !record.has_value()) return std::nullopt;
  ErrorDetail detail;
  v1::RpcStatus wire;
  if (wire_bytes.has_value() &&
      wire.ParseFromString(std::string(*wire_bytes))) {
    for (const google::protobuf::Any& any : wire.details()) {
      DecodeOne(any, &detail);
    }
  }
  if (record.has_value()) DecodeRecord(std::string(*record), &detail);
  return detail;
}

}  // namespace steelyard::client
