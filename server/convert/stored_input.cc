#include "server/convert/stored_input.h"

#include "server/errors/errors.h"

namespace steelyard::server {
absl::StatusOr<std::string> MatrixIdOf(const std::string& name,
                                       const std::string& field) {
  return ResourceIdOf(kMatrixCollection, name, field);
}

absl::StatusOr<std::shared_ptr<const StoredMatrix>> HeldMatrix(
    const MatrixLookup& matrices, const std::string& name,
    const std::string& field) {
  const absl::StatusOr<std::string> id = MatrixIdOf(name, field);
  if (!id.ok()) return id.status();
  if (!matrices) return MatrixNotFoundError(name);
  auto held = matrices(*id);
  if (absl::IsNotFound(held.status())) return MatrixNotFoundError(name);
  return held;
}

}  // namespace steelyard::server
