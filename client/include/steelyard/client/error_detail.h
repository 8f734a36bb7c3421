// What a failed call says beyond its code and message.
//
//     const auto solution = client.Solve(a, b, GramPower{2});
//     if (!solution.ok()) {
//       if (const auto detail = DetailOf(solution.status())) {
//         std::cerr << detail->reason << " in " << detail->field << "\n";
//       }
//     }
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "steelyard/client/options.h"

namespace steelyard::client {

// Decoded from the google.rpc details that the server sends (ErrorInfo,
// BadRequest, RetryInfo, QuotaFailure). Errors that the client finds itself,
// before anything is sent, carry the same.
struct ErrorDetail {
  // Stable, of a closed list: "FIELD_REQUIRED", "WRONG_SHAPE", "QUEUE_FULL".
  // Empty when the error did not come from Steelyard (no connection, say).
  std::string reason = {};

  // Path of the wrong field, "keys.dense.shape[1]"; empty: no field.
  std::string field = {};

  // Numbers behind the reason: "index" of a NaN; "limit", "value" and "max" of
  // LIMIT_EXCEEDED; "estimated_seconds" of DEADLINE_TOO_SHORT.
  std::map<std::string, std::string> metadata = {};

  // Set: the server is busy, and asks to be called again no sooner. The client
  // has already done so as often as its RetryPolicy allows.
  std::optional<Seconds> retry_delay = std::nullopt;

  // What was exhausted, one line each.
  std::vector<std::string> quota_violations = {};

  // As sent in x-request-id; find the call in the server's log with it.
  std::string request_id = {};

  // Attempts made; 0: nothing was sent.
  int attempts = 0;
};

// nullopt for OK, and for a status that this library did not make.
std::optional<ErrorDetail> DetailOf(const absl::Status& status);

}  // namespace steelyard::client
