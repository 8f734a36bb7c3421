// Rows of a stored matrix as float64 with scaled columns, part by part.
#pragma once

#include <vector>

#include "factor/strip_kernels.h"
#include "linalg/block.h"
#include "steelyard/matrix.h"

namespace steelyard {

// Lengths of all rows of a matrix, in columns of comparable size.
struct RowLengths {
  // Powers of two, 2^-300 to 2^300.
  std::vector<double> factors;
  // sum over c of (factors[c] a_ic)^2, within d + 2 roundings of that and d
  // numbers that underflow; empty until they are measured.
  std::vector<double> squares;

  // An upper bound of the true squared length that was measured as `square`.
  double Above(double square) const {
    const auto d = static_cast<double>(factors.size());
    return (square + d * 0x1p-1020) * (1.0 + (d + 8.0) * 0x1p-52);
  }
};

// factors[c] = 16^-e for columns of about 16^e times the usual size, by a
// sample of rows; columns of which that tells nothing have factor 1.
RowLengths LengthsToMeasure(const AnyMatrixView& a);

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

  // Whole rows as strips, and their squared lengths (without the scaling if
  // there is none): lengths.squares[row + i], which is there already.
  void LoadStrips(Index row, Index rows, StripBlock<double> out,
                  RowLengths& lengths) const;

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
