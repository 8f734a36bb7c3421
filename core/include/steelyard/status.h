// Errors that name their field.
//
// A status carries a reason (of the closed list that the service promises) and
// a field path as payloads; the server turns them into error details. Core
// names its own arguments ("keys", "queries", "a", "b").
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "steelyard/matrix_view.h"

namespace steelyard {

struct ErrorDetail {
  std::string reason;  // "NOT_FINITE", "WRONG_SHAPE", ...
  std::string field;   // "keys", "b.shape[0]"; empty: no field
  std::map<std::string, std::string> metadata;
};

// `message` names the field, what was given and what is required.
absl::Status ErrorWithDetail(absl::StatusCode code, std::string_view message,
                             const ErrorDetail& detail);

// What ErrorWithDetail put in; nullopt for a status without it.
std::optional<ErrorDetail> DetailOf(const absl::Status& status);

// INVALID_ARGUMENT NOT_FINITE: entry (row, col) of `field`, counted from 0, is
// `value` (NaN or an infinity). Metadata: `index`, the flat row-major index.
absl::Status NotFiniteError(std::string_view field, Index row, Index col,
                            Index cols, double value);

}  // namespace steelyard
