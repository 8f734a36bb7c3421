// Rows of a stored sparse matrix as float64 with scaled columns, block by
// block.
#pragma once

#include <cstdint>
#include <vector>

#include "steelyard/csr_view.h"
#include "steelyard/matrix.h"

namespace steelyard {

// Rows [first, first + rows): entries of row i are offsets[i] - offsets[0] to
// offsets[i + 1] - offsets[0] - 1.
struct CsrBlock {
  Index first = 0;
  Index rows = 0;
  const std::int64_t* offsets = nullptr;
  const std::int32_t* columns = nullptr;
  const double* values = nullptr;
};

// Keeps the view, not the data. Safe from several threads.
class CsrRows {
 public:
  // Column c is multiplied by 2^-exponents[c]; empty: by 1.
  CsrRows(const AnyCsrView& a, const std::vector<int>& exponents);

  Index rows() const { return Rows(a_); }
  Index cols() const { return Cols(a_); }

  // Rows from `first` on, before `last`: at most `rows_max` of them and at most
  // `entries_max` entries, but one row at the least. `values` is used where
  // the stored numbers are not those that are wanted.
  CsrBlock Load(Index first, Index last, Index rows_max, Index entries_max,
                AlignedVector<double>& values) const;

 private:
  AnyCsrView a_;
  // 2^-e = first * second; empty: 1.
  std::vector<double> first_;
  std::vector<double> second_;
};

}  // namespace steelyard
