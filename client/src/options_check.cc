#include "options_check.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "error_codec.h"
#include "retry.h"

namespace steelyard::client {
namespace {

constexpr std::size_t kRequestIdMax = 128;

absl::Status ValidateBytes(const std::string& field, std::int64_t bytes) {
  if (bytes >= 1 && bytes <= kMessageBytesMax) return absl::OkStatus();
  return InvalidOption(
      field, absl::StrCat(field, " is ", bytes, "; it must be in [1, ",
                          kMessageBytesMax, "]"));
}

absl::Status Validate(const DefaultDeadlines& deadlines) {
  const std::array<std::pair<const char*, Seconds>, 18> all = {{
      {"deadlines.find_universal_set", deadlines.find_universal_set},
      {"deadlines.stream_find_universal_set",
       deadlines.stream_find_universal_set},
      {"deadlines.query_heavy", deadlines.query_heavy},
      {"deadlines.stream_query_heavy", deadlines.stream_query_heavy},
      {"deadlines.attend", deadlines.attend},
      {"deadlines.stream_attend", deadlines.stream_attend},
      {"deadlines.set_registry", deadlines.set_registry},
      {"deadlines.read_universal_set", deadlines.read_universal_set},
      {"deadlines.export_state", deadlines.export_state},
      {"deadlines.merge_states", deadlines.merge_states},
      {"deadlines.stream_keys", deadlines.stream_keys},
      {"deadlines.upload_matrix", deadlines.upload_matrix},
      {"deadlines.matrix_registry", deadlines.matrix_registry},
      {"deadlines.solve", deadlines.solve},
      {"deadlines.stream_solve", deadlines.stream_solve},
      {"deadlines.predict", deadlines.predict},
      {"deadlines.get_server_info", deadlines.get_server_info},
      {"deadlines.check", deadlines.check},
  }};
  for (const auto& [field, deadline] : all) {
    absl::Status status = ValidateDeadline(field, deadline);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status ValidatePem(const std::string& field, const std::string& text) {
  if (text.empty() || text.find("-----BEGIN ") != std::string::npos) {
    return absl::OkStatus();
  }
  return InvalidOption(field,
                       absl::StrCat(field,
                                    " is not PEM text (it takes the "
                                    "contents of a file, not its name)"));
}

}  // namespace

absl::Status InvalidOption(const std::string& field,
                           const std::string& message) {
  return LocalError(absl::StatusCode::kInvalidArgument, message,
                    {.reason = "FIELD_OUT_OF_RANGE", .field = field});
}

absl::Status ValidateDeadline(const std::string& field, Seconds deadline) {
  if (deadline > Seconds(0.0)) return absl::OkStatus();
  return InvalidOption(field, absl::StrCat(field, " is ", deadline.count(),
                                           " s; it must be > 0 s"));
}

absl::Status Validate(const ClientOptions& options) {
  for (absl::Status status :
       {ValidateBytes("request_bytes_max", options.request_bytes_max),
        ValidateBytes("response_bytes_max", options.response_bytes_max),
        Validate(options.retry), Validate(options.deadlines)}) {
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Validate(const TlsCredentials& tls) {
  for (absl::Status status :
       {ValidatePem("credentials.root_certificates", tls.root_certificates),
        ValidatePem("credentials.private_key", tls.private_key),
        ValidatePem("credentials.certificate_chain", tls.certificate_chain)}) {
    if (!status.ok()) return status;
  }
  if (tls.private_key.empty() == tls.certificate_chain.empty()) {
    return absl::OkStatus();
  }
  const std::string missing = tls.private_key.empty()
                                  ? "credentials.private_key"
                                  : "credentials.certificate_chain";
  return LocalError(absl::StatusCode::kInvalidArgument,
                    absl::StrCat(missing,
                                 " is empty; private_key and "
                                 "certificate_chain go together"),
                    {.reason = "FIELD_REQUIRED", .field = missing});
}

absl::Status ValidateRequestId(const std::string& id) {
  const bool printable = std::all_of(
      id.begin(), id.end(), [](char c) { return c > ' ' && c < '\x7f'; });
  if (printable && id.size() <= kRequestIdMax) return absl::OkStatus();
  return InvalidOption(
      "request_id", absl::StrCat("request_id must be 1 to ", kRequestIdMax,
                                 " printable ASCII characters without blanks"));
}

absl::Status ValidateRequestBytes(std::size_t bytes, std::int64_t bytes_max) {
  if (!std::cmp_greater(bytes, bytes_max)) return absl::OkStatus();
  return LocalError(absl::StatusCode::kResourceExhausted,
                    absl::StrCat("the request has ", bytes,
                                 " bytes; request_bytes_max is ", bytes_max),
                    {.reason = "LIMIT_EXCEEDED",
                     .metadata = {{"limit", "request_bytes_max"},
                                  {"value", absl::StrCat(bytes)},
                                  {"max", absl::StrCat(bytes_max)}}});
}

}  // namespace steelyard::client
