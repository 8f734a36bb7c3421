// Sparse matrices by compressed rows that somebody else owns, in the four
// storage types, and matrices that are dense or sparse.
#pragma once

#include <cstdint>
#include <string_view>
#include <variant>

#include "absl/base/macros.h"
#include "absl/status/status.h"
#include "steelyard/compute_context.h"
#include "steelyard/matrix_view.h"

namespace steelyard {

// rows x cols, both >= 1. Entries of row i are those from row_offsets[i] to
// row_offsets[i + 1] - 1: their columns, strictly ascending, and their values.
// Whoever makes a view guarantees that the memory outlives it, is aligned, and
// holds rows + 1 offsets and nonzeros columns and values; CheckCsr looks at
// what they say.
template <KeyScalar T>
class CsrView {
 public:
  CsrView(const std::int64_t* row_offsets, const std::int32_t* column_indices,
          const T* values, Index rows, Index cols, Index nonzeros)
      : row_offsets_(row_offsets),
        column_indices_(column_indices),
        values_(values),
        rows_(rows),
        cols_(cols),
        nonzeros_(nonzeros) {
    ABSL_ASSERT(row_offsets != nullptr && rows >= 1 && cols >= 1 &&
                nonzeros >= 0);
  }

  const std::int64_t* row_offsets() const { return row_offsets_; }
  const std::int32_t* column_indices() const { return column_indices_; }
  const T* values() const { return values_; }
  Index rows() const { return rows_; }
  Index cols() const { return cols_; }
  Index nonzeros() const { return nonzeros_; }

 private:
  const std::int64_t* row_offsets_;
  const std::int32_t* column_indices_;
  const T* values_;
  Index rows_;
  Index cols_;
  Index nonzeros_;
};

// The alternatives of AnyMatrixView, in its order.
using AnyCsrView = std::variant<CsrView<double>, CsrView<float>, CsrView<Half>,
                                CsrView<BFloat16>>;

using DenseOrCsr = std::variant<AnyMatrixView, AnyCsrView>;

inline Index Rows(const AnyCsrView& matrix) {
  return std::visit([](const auto& view) { return view.rows(); }, matrix);
}
inline Index Cols(const AnyCsrView& matrix) {
  return std::visit([](const auto& view) { return view.cols(); }, matrix);
}
inline Index Nonzeros(const AnyCsrView& matrix) {
  return std::visit([](const auto& view) { return view.nonzeros(); }, matrix);
}

inline Index Rows(const DenseOrCsr& matrix) {
  return std::visit([](const auto& any) { return Rows(any); }, matrix);
}
inline Index Cols(const DenseOrCsr& matrix) {
  return std::visit([](const auto& any) { return Cols(any); }, matrix);
}
// Of a dense matrix: all of its numbers.
inline Index Nonzeros(const DenseOrCsr& matrix) {
  if (const auto* const csr = std::get_if<AnyCsrView>(&matrix)) {
    return Nonzeros(*csr);
  }
  return Rows(matrix) * Cols(matrix);
}

// Whether offsets ascend from 0 to `nonzeros` and columns of every row ascend
// strictly within [0, cols). Values are not looked at: ScanColumns and
// CheckFinite do that. Until this was OK nothing else may read the view.
//
// COST    one pass over offsets and columns. ERRORS  InvalidArgument
// WRONG_SHAPE: field `field`.row_offsets or `field`.column_indices, with the
// first bad entry. Cancelled, DeadlineExceeded, Aborted: the stop token.
absl::Status CheckCsr(const AnyCsrView& matrix, std::string_view field,
                      const ComputeContext& context);

}  // namespace steelyard
