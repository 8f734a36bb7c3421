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

TensorView TensorView::Rows(std::int64_t first, std::int64_t count) const {
  TensorView part = *this;
  if (!Filled()) return part;  // The call refuses it as it is.
  const auto axis = static_cast<std::size_t>(rank_ - 2);
  if (rank_ < 2 || rank_ > kRankMax || first < 0 || count < 0 ||
      first > extents_[axis] || count > extents_[axis] - first) {
    part.rank_ = kRankMax + 1;
    return part;
  }
  part.Move(first * strides_[axis]);
  part.extents_[axis] = count;
  part.available_ = rank_ == 3 ? extents_[0] : 1;
  part.available_ *= count * extents_[axis + 1];
  return part;
}

TensorView TensorView::Head(std::int64_t head) const {
  TensorView part = *this;
  if (!Filled()) return part;
  if (rank_ != 3 || head < 0 || head >= extents_[0]) {
    part.rank_ = kRankMax + 1;
    return part;
  }
  part.Move(head * strides_[0]);
  part.rank_ = 0;
  part.Append(extents_[1], strides_[1]);
  part.Append(extents_[2], strides_[2]);
  part.available_ = extents_[1] * extents_[2];
  return part;
}

bool TensorView::Filled() const {
  std::int64_t numbers = 1;
  for (int axis = 0; axis < std::min(rank_, kRankMax); ++axis) {
    const std::int64_t extent = extents_[static_cast<std::size_t>(axis)];
    if (extent < 0 || __builtin_mul_overflow(numbers, extent, &numbers)) {
      return false;
    }
  }
  return numbers == available_;
}

void TensorView::Move(std::int64_t numbers) {
  data_ = static_cast<const char*>(data_) + numbers * BytesOf(type_);
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
