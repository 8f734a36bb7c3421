// What the bytes of a stored matrix mean.
#pragma once

#include <cstdint>

#include "steelyard/matrix_view.h"

namespace steelyard::server {

// Extents are >= 1 and the sizes below do not overflow: whoever makes a layout
// has checked that.
struct MatrixLayout {
  StorageType type = StorageType::kFloat64;
  bool sparse = false;
  int extents = 2;  // dense: 2, or 3 with heads first
  Index heads = 1;
  Index rows = 1;
  Index cols = 1;
  Index nonzeros = 0;  // sparse

  bool operator==(const MatrixLayout&) const = default;

  // Of all bytes.
  std::int64_t size() const;
  // Sparse: where each part begins, a multiple of 64; each is padded with zero
  // bytes to one, the last too. Dense: values at 0.
  std::int64_t row_offsets_at() const { return 0; }
  std::int64_t column_indices_at() const;
  std::int64_t values_at() const;
};

}  // namespace steelyard::server
