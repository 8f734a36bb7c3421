#include "server/errors/grpc_status.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "server/errors/errors.h"
#include "steelyard/status.h"
#include "steelyard/v1/error_details.pb.h"

namespace steelyard::server {
namespace {

// Bytes. The message stands in the status three times (grpc-message,
// google.rpc.Status, BadRequest.description), so these add up to less than
// kStatusBytesMax with room for type URLs and lengths:
// 3 * 640 + 256 + 8 * (48 + 96) + 4 * 64 = 3584.
constexpr std::size_t kMessageBytesMax = 640;
constexpr std::size_t kFieldBytesMax = 256;
constexpr std::size_t kMetadataEntriesMax = 8;
constexpr std::size_t kMetadataKeyBytesMax = 48;
constexpr std::size_t kMetadataValueBytesMax = 96;

constexpr char kCut[] = "...";

// Length of the UTF-8 character at `i`, or 0 where the bytes are none.
std::size_t CharacterLength(std::string_view text, std::size_t i) {
  const auto byte = [&](std::size_t k) {
    return static_cast<unsigned char>(text[k]);
  };
  const unsigned char lead = byte(i);
  if (lead < 0x80) return 1;
  std::size_t length = 0;
  if (lead >= 0xC2 && lead < 0xE0) length = 2;
  if (lead >= 0xE0 && lead < 0xF0) length = 3;
  if (lead >= 0xF0 && lead < 0xF5) length = 4;
  if (length == 0 || i + length > text.size()) return 0;
  for (std::size_t k = 1; k < length; ++k) {
    if ((byte(i + k) & 0xC0) != 0x80) return 0;
  }
  // Overlong forms, surrogates, and above U+10FFFF.
  const unsigned char second = byte(i + 1);
  if (lead == 0xE0 && second < 0xA0) return 0;
  if (lead == 0xED && second >= 0xA0) return 0;
  if (lead == 0xF0 && second < 0x90) return 0;
  if (lead == 0xF4 && second >= 0x90) return 0;
  return length;
}

// At most `max` bytes of valid UTF-8; what is cut ends in "...".
std::string Text(std::string_view text, std::size_t max) {
  const bool cut = text.size() > max;
  const std::size_t room = cut ? max - (sizeof(kCut) - 1) : max;
  std::string result;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = CharacterLength(text, i);
    const std::size_t bytes = std::max<std::size_t>(length, 1);
    if (result.size() + bytes > room) break;
    if (length == 0) {
      result.push_back('?');
    } else {
      result.append(text.substr(i, length));
    }
    i += bytes;
  }
  if (cut) result.append(kCut);
  return result;
}

grpc::StatusCode CodeOf(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kOk:
      return grpc::StatusCode::OK;
    case absl::StatusCode::kCancelled:
      return grpc::StatusCode::CANCELLED;
    case absl::StatusCode::kInvalidArgument:
      return grpc::StatusCode::INVALID_ARGUMENT;
    case absl::StatusCode::kDeadlineExceeded:
      return grpc::StatusCode::DEADLINE_EXCEEDED;
    case absl::StatusCode::kNotFound:
      return grpc::StatusCode::NOT_FOUND;
    case absl::StatusCode::kAlreadyExists:
      return grpc::StatusCode::ALREADY_EXISTS;
    case absl::StatusCode::kResourceExhausted:
      return grpc::StatusCode::RESOURCE_EXHAUSTED;
    case absl::StatusCode::kFailedPrecondition:
      return grpc::StatusCode::FAILED_PRECONDITION;
    case absl::StatusCode::kAborted:
      return grpc::StatusCode::ABORTED;
    case absl::StatusCode::kUnavailable:
      return grpc::StatusCode::UNAVAILABLE;
    default:
      return grpc::StatusCode::INTERNAL;
  }
}

template <typename Detail>
void Attach(const Detail& detail, const char* name, v1::RpcStatus* status) {
  google::protobuf::Any* const any = status->add_details();
  any->set_type_url(std::string("type.googleapis.com/google.rpc.") + name);
  any->set_value(detail.SerializeAsString());
}

void AttachErrorInfo(const ErrorDetail& detail, v1::RpcStatus* status) {
  v1::ErrorInfo info;
  info.set_reason(Text(detail.reason, kMetadataKeyBytesMax));
  info.set_domain(kErrorDomain);
  std::size_t entries = 0;
  for (const auto& [key, value] : detail.metadata) {
    if (++entries > kMetadataEntriesMax) break;
    (*info.mutable_metadata())[Text(key, kMetadataKeyBytesMax)] =
        Text(value, kMetadataValueBytesMax);
  }
  Attach(info, "ErrorInfo", status);
}

void AttachBadRequest(const std::string& field, const std::string& message,
                      v1::RpcStatus* status) {
  v1::BadRequest bad_request;
  v1::BadRequest::FieldViolation* const violation =
      bad_request.add_field_violations();
  violation->set_field(Text(field, kFieldBytesMax));
  violation->set_description(message);
  Attach(bad_request, "BadRequest", status);
}

void AttachRetryInfo(std::chrono::milliseconds delay, v1::RpcStatus* status) {
  v1::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(delay.count() / 1000);
  retry.mutable_retry_delay()->set_nanos(
      static_cast<std::int32_t>(delay.count() % 1000) * 1'000'000);
  Attach(retry, "RetryInfo", status);
}

void AttachQuotaFailure(const std::string& subject, const std::string& message,
                        v1::RpcStatus* status) {
  v1::QuotaFailure quota;
  v1::QuotaFailure::Violation* const violation = quota.add_violations();
  violation->set_subject(Text(subject, kMetadataKeyBytesMax));
  violation->set_description(Text(message, kFieldBytesMax));
  Attach(quota, "QuotaFailure", status);
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const grpc::StatusCode code = CodeOf(status.code());
  const absl::string_view given = status.message();
  const std::string message =
      Text(std::string_view(given.data(), given.size()), kMessageBytesMax);

  const std::optional<ErrorDetail> detail = DetailOf(status);
  if (!detail.has_value()) return grpc::Status(code, message);

  v1::RpcStatus rpc_status;
  rpc_status.set_code(static_cast<std::int32_t>(code));
  rpc_status.set_message(message);
  AttachErrorInfo(*detail, &rpc_status);
  if (!detail->field.empty()) {
    AttachBadRequest(detail->field, message, &rpc_status);
  }
  if (const auto delay = RetryDelayOf(status)) {
    AttachRetryInfo(*delay, &rpc_status);
  }
  if (const auto subject = QuotaSubjectOf(status)) {
    AttachQuotaFailure(*subject, message, &rpc_status);
  }
  return grpc::Status(code, message, rpc_status.SerializeAsString());
}

}  // namespace steelyard::server
