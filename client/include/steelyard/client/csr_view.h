// A sparse matrix by compressed rows: memory of the caller, in any of four
// types.
//
//     Eigen::SparseMatrix<double, Eigen::RowMajor> a = ...;
//     a.makeCompressed();
//     client.Solve(CsrView(a), b, LeftGramPower{});
//
//     // The arrays of SciPy's csr_matrix: indptr, indices, data.
//     client.Solve(CsrView(n, d, indptr, indices, data), b, LeftGramPower{});
//
// Columns of a row strictly ascending: no entry twice. Stored zeros, rows
// without entries and a matrix without any are allowed.
//
// A view owns nothing: the memory must stay until the call returns.
#pragma once

#include <concepts>
#include <cstdint>
#include <ranges>
#include <span>

#include "steelyard/client/tensor_view.h"

namespace steelyard::client {

// What has the arrays of a compressed sparse matrix, as those of Eigen.
template <typename Matrix>
concept CompressedRowMatrix = TensorScalar<typename Matrix::Scalar> &&
                              bool(Matrix::IsRowMajor) &&
                              requires(const Matrix& matrix) {
  { matrix.outerIndexPtr() } -> std::convertible_to<const std::int32_t*>;
  { matrix.innerIndexPtr() } -> std::convertible_to<const std::int32_t*>;
  { matrix.valuePtr() } -> std::convertible_to<const typename Matrix::Scalar*>;
  { matrix.isCompressed() } -> std::convertible_to<bool>;
};

class CsrView {
 public:
  // rows x columns. row_offsets: rows + 1 of them, 0 first, ascending, the last
  // is the number of entries; column_indices and values: one an entry. Arrays
  // of other sizes make the call that reads the view fail with
  // INVALID_ARGUMENT; what is in them is checked by the server.
  template <ScalarRange Values>
  CsrView(std::int64_t rows, std::int64_t columns,
          std::span<const std::int64_t> row_offsets,
          std::span<const std::int32_t> column_indices, const Values& values)
      : CsrView(rows, columns, column_indices, values) {
    wide_offsets_ = row_offsets;
  }
  template <ScalarRange Values>
  CsrView(std::int64_t rows, std::int64_t columns,
          std::span<const std::int32_t> row_offsets,
          std::span<const std::int32_t> column_indices, const Values& values)
      : CsrView(rows, columns, column_indices, values) {
    narrow_offsets_ = row_offsets;
  }

  // Row-major and compressed; one that is not compressed makes the call fail.
  template <CompressedRowMatrix Matrix>
  explicit CsrView(const Matrix& matrix)
      : rows_(matrix.rows()),
        columns_(matrix.cols()),
        type_(kScalarTypeOf<typename Matrix::Scalar>),
        values_(matrix.valuePtr()) {
    if (!matrix.isCompressed()) return;
    value_count_ = matrix.nonZeros();
    narrow_offsets_ = {matrix.outerIndexPtr(),
                       static_cast<std::size_t>(rows_ + 1)};
    column_indices_ = {matrix.innerIndexPtr(),
                       static_cast<std::size_t>(value_count_)};
  }

  std::int64_t rows() const { return rows_; }
  std::int64_t columns() const { return columns_; }
  ScalarType type() const { return type_; }
  std::int64_t nonzeros() const { return value_count_; }

  std::int64_t offset_count() const {
    return static_cast<std::int64_t>(wide_offsets_.size() +
                                     narrow_offsets_.size());
  }
  // Of i in [0, offset_count()).
  std::int64_t offset(std::int64_t i) const {
    const auto at = static_cast<std::size_t>(i);
    return narrow_offsets_.empty() ? wide_offsets_[at] : narrow_offsets_[at];
  }
  std::span<const std::int32_t> column_indices() const {
    return column_indices_;
  }
  const void* values() const { return values_; }

 private:
  template <ScalarRange Values>
  CsrView(std::int64_t rows, std::int64_t columns,
          std::span<const std::int32_t> column_indices, const Values& values)
      : rows_(rows),
        columns_(columns),
        type_(kScalarTypeOf<std::ranges::range_value_t<Values>>),
        column_indices_(column_indices),
        values_(std::ranges::data(values)),
        value_count_(static_cast<std::int64_t>(std::ranges::size(values))) {}

  std::int64_t rows_;
  std::int64_t columns_;
  ScalarType type_;
  // One of the two.
  std::span<const std::int64_t> wide_offsets_;
  std::span<const std::int32_t> narrow_offsets_;
  std::span<const std::int32_t> column_indices_;
  const void* values_;
  std::int64_t value_count_ = 0;
};

}  // namespace steelyard::client
