// A small sparse matrix as requests send it and as the store keeps it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/storage/matrix_layout.h"
#include "steelyard/v1/tensor.pb.h"
#include "tests/server/convert/valid_requests.h"

namespace steelyard::test {

// 10 x 3, 16 entries: a diagonal that repeats and a full first column.
struct SparseNumbers {
  std::vector<std::int64_t> row_offsets{0};
  std::vector<std::int32_t> column_indices;
  std::vector<double> values;

  SparseNumbers() {
    for (std::int32_t row = 0; row < 10; ++row) {
      if (row % 3 != 0) column_indices.push_back(0);
      column_indices.push_back(row % 3);
      row_offsets.push_back(static_cast<std::int64_t>(column_indices.size()));
    }
    values = PlainNumbers(static_cast<std::int64_t>(column_indices.size()));
  }

  // The same as a dense matrix, row by row.
  std::vector<double> Dense() const {
    std::vector<double> dense(30, 0.0);
    for (std::size_t row = 0; row < 10; ++row) {
      for (auto at = row_offsets[row]; at < row_offsets[row + 1]; ++at) {
        const auto entry = static_cast<std::size_t>(at);
        dense[row * 3 + static_cast<std::size_t>(column_indices[entry])] =
            values[entry];
      }
    }
    return dense;
  }
};

inline void SetSparse(const SparseNumbers& numbers, v1::CsrMatrix* csr) {
  csr->set_rows(10);
  csr->set_columns(3);
  csr->set_dtype(v1::DTYPE_FLOAT64);
  csr->set_row_offsets(BytesOf(numbers.row_offsets));
  csr->set_column_indices(BytesOf(numbers.column_indices));
  csr->set_values(BytesOf(numbers.values));
}

inline server::MatrixLayout SparseLayout(const SparseNumbers& numbers) {
  return {.sparse = true,
          .rows = 10,
          .cols = 3,
          .nonzeros = static_cast<Index>(numbers.values.size())};
}

// As an upload sends it: each part padded to 64 bytes.
inline std::string SparseBytes(const SparseNumbers& numbers) {
  std::string all;
  for (const std::string& part :
       {BytesOf(numbers.row_offsets), BytesOf(numbers.column_indices),
        BytesOf(numbers.values)}) {
    all += part;
    all.resize((all.size() + 63) / 64 * 64, '\0');
  }
  return all;
}

// (A'A) x = b, A 10 x 3 and sparse.
inline v1::SolveRequest ValidSparseRequest() {
  v1::SolveRequest request = ValidSolveRequest();
  SetSparse(SparseNumbers(), request.mutable_a()->mutable_csr());
  return request;
}

}  // namespace steelyard::test
