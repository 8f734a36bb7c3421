// The rows of a stored matrix, block by block, for files of any size.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "client/tensor_files/stored_tensor.h"
#include "client/tensor_files/tensor_spec.h"

namespace steelyard::tensor_files {

class RowReader {
 public:
  // n x d, or H x n x d, slices included. Reads the header only.
  // ERRORS  those of tensor_file.h; InvalidArgument: other than 2 or 3 extents;
  //   a column-major file, whose rows do not lie together.
  static absl::StatusOr<RowReader> Open(const std::string& text);

  const TensorInfo& info() const { return info_; }
  int64_t heads() const { return three() ? info_.shape[0] : 1; }
  int64_t rows() const { return info_.shape[three() ? 1 : 0]; }
  int64_t columns() const { return info_.shape.back(); }
  // Of one row of every head.
  int64_t row_bytes() const {
    return heads() * columns() * BytesOf(info_.type);
  }

  // Rows [first, first + count): count x d, or H x count x d. Memory for these.
  absl::StatusOr<StoredTensor> Read(int64_t first, int64_t count) const;

 private:
  RowReader(TensorSpec spec, TensorInfo info)
      : spec_(std::move(spec)), info_(std::move(info)) {}
  bool three() const { return info_.shape.size() == 3; }

  TensorSpec spec_;
  TensorInfo info_;
};

}  // namespace steelyard::tensor_files
