#include "steelyard/status.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace steelyard {
namespace {

constexpr absl::string_view kReasonUrl = "steelyard/reason";
constexpr absl::string_view kFieldUrl = "steelyard/field";
constexpr absl::string_view kMetadataUrl = "steelyard/metadata/";

absl::string_view View(std::string_view text) {
  return absl::string_view(text.data(), text.size());
}

}  // namespace

absl::Status ErrorWithDetail(absl::StatusCode code, std::string_view message,
                             const ErrorDetail& detail) {
  absl::Status status(code, View(message));
  status.SetPayload(kReasonUrl, absl::Cord(detail.reason));
  status.SetPayload(kFieldUrl, absl::Cord(detail.field));
  for (const auto& [key, value] : detail.metadata) {
    status.SetPayload(absl::StrCat(kMetadataUrl, key), absl::Cord(value));
  }
  return status;
}

std::optional<ErrorDetail> DetailOf(const absl::Status& status) {
  const auto reason = status.GetPayload(kReasonUrl);
  if (!reason.has_value()) return std::nullopt;
  ErrorDetail detail;
  detail.reason = std::string(*reason);
  if (const auto field = status.GetPayload(kFieldUrl)) {
    detail.field = std::string(*field);
  }
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& value) {
    if (url.substr(0, kMetadataUrl.size()) == kMetadataUrl) {
      detail.metadata[std::string(url.substr(kMetadataUrl.size()))] =
          std::string(value);
    }
  });
  return detail;
}

absl::Status NotFiniteError(std::string_view field, Index row, Index col,
                            Index cols, double value) {
  const Index index = row * cols + col;
  return ErrorWithDetail(
      absl::StatusCode::kInvalidArgument,
      absl::StrCat(View(field), "[", row, ",", col, "] is ", value,
                   "; every number must be finite"),
      {.reason = "NOT_FINITE",
       .field = std::string(field),
       .metadata = {{"index", std::to_string(index)}}});
}

}  // namespace steelyard
