#include "client/verify/rows.h"

#include <cassert>

namespace steelyard::verify {

RowMatrix Rows::Block(int64_t first, int64_t count) const {
  RowMatrix block(count, columns_);
  tensor_->ReadDoubles(
      first_ + first * columns_,
      absl::MakeSpan(block.data(), static_cast<std::size_t>(block.size())));
  return block;
}

std::vector<Rows> HeadsOf(const tensor_files::StoredTensor& tensor) {
  const std::vector<int64_t>& shape = tensor.shape();
  assert(shape.size() == 2 || shape.size() == 3);
  const int64_t heads = shape.size() == 3 ? shape[0] : 1;
  const int64_t rows = shape[shape.size() - 2];
  const int64_t columns = shape[shape.size() - 1];
  std::vector<Rows> matrices;
  for (int64_t head = 0; head < heads; ++head) {
    matrices.emplace_back(tensor, head * rows * columns, rows, columns);
  }
  return matrices;
}

RowMatrix WrittenOut(const tensor_files::StoredCsr& matrix) {
  RowMatrix rows = RowMatrix::Zero(matrix.rows, matrix.columns);
  const std::vector<double> values = matrix.Doubles();
  for (int64_t i = 0; i < matrix.rows; ++i) {
    const auto row = static_cast<std::size_t>(i);
    for (int64_t k = matrix.row_offsets[row]; k < matrix.row_offsets[row + 1];
         ++k) {
      const auto at = static_cast<std::size_t>(k);
      rows(i, matrix.column_indices[at]) = values[at];
    }
  }
  return rows;
}

}  // namespace steelyard::verify
