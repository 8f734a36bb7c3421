// Rows of a stored matrix as float64 with scaled columns, part by part.
#pragma once

#include <vector>

#include "factor/strip_kernels.h"
#include "linalg/block.h"
#include "steelyard/matrix.h"

namespace steelyard {

// Keeps the view, not the data. Safe from several threads.
class RowLoader {
 public:
  // Column c is multiplied by 2^-exponents[c]; empty: by 1.
  RowLoader(const AnyMatrixView& a, const std::vector<int>& exponents);

  Index rows() const { return Rows(a_); }
  Index cols() const { return Cols(a_); }

  // out := the part of the scaled matrix that starts at (row, col), as large
  // as `out`. Exact, but for numbers that the scaling pushes below the normal
  // range: those are below 2^-1022 of their column's norm.
  void Load(Index row, Index col, Block<double> out) const;

  // The same for rows x cols numbers, as strips (strip_kernels.h) and zeros.
  void LoadStrips(Index row, Index col, Index rows, Index cols,
                  StripBlock<double> out) const;
  void LoadStrips(Index row, Index col, Index rows, Index cols,
                  StripBlock<float> out) const;

  // The memory of whole rows [row, row + count), cut at the last row.
  ReadNext RowsToRead(Index row, Index count) const;

 private:
  template <typename T>
  void Pack(Index row, Index col, Index rows, Index cols,
            StripBlock<T> out) const;

  AnyMatrixView a_;
  // 2^-e = first * second; second is only there when some 2^-e is no double.
  std::vector<double> first_;
  std::vector<double> second_;
};

}  // namespace steelyard
