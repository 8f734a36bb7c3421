// Names of what the server keeps: "{collection}/{id}", id [a-z][a-z0-9-]{0,62}.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace steelyard::server {

inline constexpr char kMatrixCollection[] = "matrices";

// "matrices/{id}".
std::string MatrixName(const std::string& id);

// An id that a caller chose. `field`: its proto path.
// ERRORS  FIELD_OUT_OF_RANGE.
absl::Status CheckResourceId(const std::string& id, const std::string& field);

// The id of a name of `collection` ("matrices"). `field`: its proto path.
// ERRORS  FIELD_REQUIRED, FIELD_OUT_OF_RANGE.
absl::StatusOr<std::string> ResourceIdOf(std::string_view collection,
                                         const std::string& name,
                                         const std::string& field);

}  // namespace steelyard::server
