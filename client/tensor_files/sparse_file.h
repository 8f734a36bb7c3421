// Sparse matrices out of .npz files, as scipy.sparse.save_npz writes them.
//
// A .npz file is a ZIP archive of .npy files: format, shape, indptr, indices,
// data; deflated or stored. Read by libzip; what it holds is checked as in
// tensor_file.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/tensor_files/stored_tensor.h"

namespace steelyard::tensor_files {

// Compressed rows; columns of a row strictly ascending.
struct StoredCsr {
  int64_t rows = 0;
  int64_t columns = 0;
  std::vector<int64_t> row_offsets;     // rows + 1 of them.
  std::vector<int32_t> column_indices;  // One an entry.
  ElementType type = ElementType::kFloat64;
  std::string values;  // Bytes of the entries.

  int64_t nonzeros() const {
    return static_cast<int64_t>(column_indices.size());
  }
  // The entries as float64.
  std::vector<double> Doubles() const;
  // "float32 [327346, 120], 2291422 entries".
  std::string text() const;
};

// True for what LoadCsr reads: FILE.npz.
bool IsSparseFile(const std::string& path);

// ERRORS  NotFound: no such file. InvalidArgument: no .npz file of a CSR
//   matrix, of a type that is not taken, or whose arrays do not make a matrix;
//   the message starts with `path`. ResourceExhausted: no memory for it.
absl::StatusOr<StoredCsr> LoadCsr(const std::string& path);

}  // namespace steelyard::tensor_files
