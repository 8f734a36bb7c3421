// Names of stored sets: "universalSets/{id}", id [a-z][a-z0-9-]{0,62}.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace steelyard::server {

// "universalSets/{id}".
std::string SetName(std::string_view id);

// An id that a caller chose. `field`: its proto path.
// ERRORS  FIELD_OUT_OF_RANGE.
absl::Status CheckSetId(const std::string& id, const std::string& field);

// The id of a name. `field`: its proto path.
// ERRORS  FIELD_REQUIRED, FIELD_OUT_OF_RANGE.
absl::StatusOr<std::string> SetIdOf(const std::string& name,
                                    const std::string& field);

// One that nobody guesses, for callers that choose none.
std::string NewSetId();

}  // namespace steelyard::server
