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

}  // namespace steelyard::verify
