// How large an answer may be: max_response_bytes of a request, and what an
// answer costs in memory.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/limits/limits.h"

namespace steelyard::server {

// Bytes. `asked`: max_response_bytes of the request, unset where it was not
// given. FIELD_OUT_OF_RANGE outside [1, kMessageBytesHardMax].
absl::StatusOr<std::int64_t> MaxResponseBytes(std::optional<std::int64_t> asked,
                                              const Limits& limits);

// RESPONSE_TOO_LARGE when an answer of at least `bytes` does not fit into
// `max`. `remedy`: what the caller can do.
absl::Status CheckFits(double bytes, std::int64_t max,
                       const std::string& remedy);

// The exact check, when the message stands; it is emptied when it is too large.
template <typename Response>
absl::Status CheckMessage(std::int64_t max, const std::string& remedy,
                          Response* response) {
  absl::Status fits =
      CheckFits(static_cast<double>(response->ByteSizeLong()), max, remedy);
  if (!fits.ok()) response->Clear();
  return fits;
}

// Memory of an answer that is built only if it fits into `max`: its message,
// `message_per_wire` times as large as its wire form of about `wire_bytes`, and
// that form itself.
double AnswerMemory(double wire_bytes, double message_per_wire,
                    std::int64_t max);

}  // namespace steelyard::server
