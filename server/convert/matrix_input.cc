#include "server/convert/matrix_input.h"

#include "server/convert/stored_input.h"
#include "server/errors/errors.h"
#include "steelyard/status.h"

namespace steelyard::server {

namespace {

// Flags may have changed since it was uploaded.
absl::StatusOr<MatrixInput> StoredCsr(
    std::shared_ptr<const StoredMatrix> matrix, const std::string& path,
    const TensorRule& rule) {
  const Index columns = matrix->info().layout.cols;
  if (columns > rule.cols_max) {
    return LimitExceededError({.field = path,
                               .what = "the number of columns of " + path,
                               .limit = rule.cols_limit,
                               .value = double(columns),
                               .max = double(rule.cols_max)});
  }
  return MatrixInput(CsrInput::FromStored(std::move(matrix), path));
}

}  // namespace

Index MatrixInput::rows() const {
  return std::visit([](const auto& matrix) { return matrix.rows(); }, matrix_);
}

Index MatrixInput::cols() const {
  return std::visit([](const auto& matrix) { return matrix.cols(); }, matrix_);
}

std::optional<Index> MatrixInput::nonzeros() const {
  if (csr() == nullptr) return std::nullopt;
  return csr()->nonzeros();
}

const std::shared_ptr<const StoredMatrix>& MatrixInput::stored() const {
  return csr() != nullptr ? csr()->stored() : dense()->stored();
}

std::int64_t MatrixInput::copy_bytes() const {
  return std::visit([](const auto& matrix) { return matrix.copy_bytes(); },
                    matrix_);
}

absl::Status MatrixInput::AtPath(const absl::Status& status,
                                 const std::string& argument) const {
  const std::optional<ErrorDetail> detail = DetailOf(status);
  if (!detail.has_value()) return status;
  // Core names an array of a sparse matrix: "a.values".
  if (csr() != nullptr && detail->field == argument + ".values") {
    return WithField(status, csr()->PathOfNumber());
  }
  if (detail->field != argument) return status;
  if (csr() != nullptr) return WithField(status, csr()->PathOfNumber());
  const auto entry = detail->metadata.find("index");
  return WithField(status, dense()->PathOfNumber(entry == detail->metadata.end()
                                                     ? ""
                                                     : entry->second));
}

std::string MatrixInput::Description() const {
  return std::visit([](const auto& matrix) { return matrix.Description(); },
                    matrix_);
}

absl::StatusOr<MatrixInput> MatrixFromProto(const v1::MatrixInput& input,
                                            const std::string& name,
                                            const TensorRule& rule,
                                            const Limits& limits,
                                            const MatrixLookup& matrices) {
  if (input.has_csr()) {
    absl::StatusOr<CsrInput> csr =
        CsrFromProto(input.csr(), name + ".csr", limits);
    if (!csr.ok()) return csr.status();
    return MatrixInput(*std::move(csr));
  }
  if (input.has_matrix()) {
    const std::string path = name + ".matrix";
    auto stored = HeldMatrix(matrices, input.matrix(), path);
    if (!stored.ok()) return stored.status();
    if ((*stored)->info().layout.sparse) {
      return StoredCsr(*std::move(stored), path, rule);
    }
    absl::StatusOr<TensorInput> dense =
        StoredTensor(*std::move(stored), path, rule, limits);
    if (!dense.ok()) return dense.status();
    return MatrixInput(*std::move(dense));
  }
  absl::StatusOr<TensorInput> dense =
      TensorFromProto(input, name, rule, limits, matrices);
  if (!dense.ok()) return dense.status();
  return MatrixInput(*std::move(dense));
}

absl::StatusOr<std::unique_ptr<const LoadedMatrix>> LoadedMatrix::Load(
    const MatrixInput& input, const ComputeContext& context) {
  if (input.stored() != nullptr) {
    absl::Status loaded = input.stored()->Load(context.stop);
    if (!loaded.ok()) return loaded;
  }
  if (input.dense() != nullptr) {
    return std::unique_ptr<const LoadedMatrix>(
        new LoadedMatrix(*input.dense()));
  }
  std::unique_ptr<const LoadedMatrix> csr(new LoadedMatrix(*input.csr()));
  // A stored matrix was checked when it was uploaded.
  if (input.stored() != nullptr) return csr;
  absl::Status checked =
      CheckCsr(std::get<AnyCsrView>(csr->view()), input.csr()->path(), context);
  if (!checked.ok()) return checked;
  return csr;
}

}  // namespace steelyard::server
