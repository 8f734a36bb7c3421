#include "server/convert/response_size.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/errors/errors.h"

namespace steelyard::server {

absl::StatusOr<std::int64_t> MaxResponseBytes(std::optional<std::int64_t> asked,
                                              const Limits& limits) {
  if (!asked.has_value()) return limits.response_bytes_default;
  if (*asked < 1 || *asked > kMessageBytesHardMax) {
    return OutOfRangeError(
        "max_response_bytes", absl::StrCat(*asked),
        absl::StrCat("it must be in [1, ", kMessageBytesHardMax, "]"));
  }
  return *asked;
}

absl::Status CheckFits(double bytes, std::int64_t max,
                       const std::string& remedy) {
  if (bytes <= static_cast<double>(max)) return absl::OkStatus();
  return ResponseTooLargeError(static_cast<std::int64_t>(bytes), max, remedy);
}

double AnswerMemory(double wire_bytes, double message_per_wire,
                    std::int64_t max) {
  return (1.0 + message_per_wire) *
         std::min(wire_bytes, static_cast<double>(max));
}

}  // namespace steelyard::server
