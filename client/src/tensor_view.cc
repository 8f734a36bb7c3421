#include "steelyard/client/tensor_view.h"

#include <algorithm>

namespace steelyard::client {

TensorView TensorView::AsHeads(std::int64_t heads) const {
  TensorView batch = *this;
  if (rank_ != 2) {
    batch.rank_ = kRankMax + 1;  // No tensor has so many: the call refuses it.
    return batch;
  }
  const std::int64_t rows = heads > 0 ? extents_[0] / heads : 0;
  batch.rank_ = 0;
  batch.Append(heads, rows * strides_[0]);
  batch.Append(rows, strides_[0]);
  batch.Append(extents_[1], strides_[1]);
  return batch;
}

void TensorView::Append(std::int64_t extent, std::int64_t stride) {
  if (rank_ < kRankMax) {
    extents_[static_cast<std::size_t>(rank_)] = extent;
    strides_[static_cast<std::size_t>(rank_)] = stride;
  }
  ++rank_;
}

void TensorView::SetRowMajorStrides() {
  // Extents may be anything here: unsigned, because a product that overflows is
  // refused later, and must not be undefined now.
  std::uint64_t stride = 1;
  for (int axis = std::min(rank_, kRankMax) - 1; axis >= 0; --axis) {
    const auto at = static_cast<std::size_t>(axis);
    strides_[at] = static_cast<std::int64_t>(stride);
    stride *= static_cast<std::uint64_t>(extents_[at]);
  }
}

}  // namespace steelyard::client
