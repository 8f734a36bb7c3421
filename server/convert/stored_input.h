// Stored matrices that a request names.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/request/resource_name.h"
#include "server/storage/matrix_store.h"

namespace steelyard::server {

// The id of a name. `field`: its proto path.
// ERRORS  FIELD_REQUIRED, FIELD_OUT_OF_RANGE.
absl::StatusOr<std::string> MatrixIdOf(const std::string& name,
                                       const std::string& field);

// Holds a finished matrix by its id. Empty: the server keeps none.
// ERRORS  NotFound.
using MatrixLookup =
    std::function<absl::StatusOr<std::shared_ptr<const StoredMatrix>>(
        const std::string& id)>;

// The matrix of that name, held: whatever happens to the name, it stays until
// the last owner lets go. ERRORS  those of MatrixIdOf; NotFound.
absl::StatusOr<std::shared_ptr<const StoredMatrix>> HeldMatrix(
    const MatrixLookup& matrices, const std::string& name,
    const std::string& field);

}  // namespace steelyard::server
