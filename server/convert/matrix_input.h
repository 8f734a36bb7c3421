// A matrix of a request that may be dense or sparse, sent or stored.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/status/statusor.h"
#include "server/convert/csr_input.h"
#include "server/convert/tensor_input.h"
#include "steelyard/compute_context.h"
#include "steelyard/csr_view.h"

namespace steelyard::server {

class MatrixInput {
 public:
  explicit MatrixInput(TensorInput dense) : matrix_(std::move(dense)) {}
  explicit MatrixInput(CsrInput csr) : matrix_(std::move(csr)) {}

  Index rows() const;
  Index cols() const;
  // Entries of a sparse matrix; unset: dense.
  std::optional<Index> nonzeros() const;
  // Null: sparse, or dense.
  const TensorInput* dense() const {
    return std::get_if<TensorInput>(&matrix_);
  }
  const CsrInput* csr() const { return std::get_if<CsrInput>(&matrix_); }

  // Null: the matrix came with the request.
  const std::shared_ptr<const StoredMatrix>& stored() const;
  // Bytes that LoadedMatrix will allocate: aligned copies.
  std::int64_t copy_bytes() const;

  // Of an error of core about argument `argument` of core: the same at its
  // proto path. Others stay as they are.
  absl::Status AtPath(const absl::Status& status,
                      const std::string& argument) const;

  // "400000x256 FLOAT64", for logs.
  std::string Description() const;

 private:
  std::variant<TensorInput, CsrInput> matrix_;
};

// A MatrixInput field named `name` that takes both kinds. `matrices`: empty
// where the server keeps none. ERRORS  those of TensorFromProto, CsrFromProto,
// StoredTensor.
absl::StatusOr<MatrixInput> MatrixFromProto(const v1::MatrixInput& input,
                                            const std::string& name,
                                            const TensorRule& rule,
                                            const Limits& limits,
                                            const MatrixLookup& matrices);

// The matrix as core reads it. Part of the admitted work. The message must
// outlive it.
class LoadedMatrix {
 public:
  // Brings what is stored, copies what is misaligned, checks what offsets and
  // columns of a sent CSR matrix say.
  // ERRORS  DataLoss; InvalidArgument WRONG_SHAPE; those of the stop token.
  static absl::StatusOr<std::unique_ptr<const LoadedMatrix>> Load(
      const MatrixInput& input, const ComputeContext& context);

  const DenseOrCsr& view() const { return view_; }

 private:
  explicit LoadedMatrix(const TensorInput& dense)
      : dense_(std::in_place, dense), view_(dense_->matrix()) {}
  explicit LoadedMatrix(const CsrInput& csr)
      : csr_(std::in_place, csr), view_(csr_->view()) {}

  const std::optional<TensorMatrices> dense_;
  const std::optional<CsrArrays> csr_;
  const DenseOrCsr view_;
};

}  // namespace steelyard::server
