// C += A'B with some 22 bits more than float64 has, at the speed of three
// products of float64.
//
// METHOD  Every column of a block of at most 128 rows is cut into a head, the
//   23 bits below its largest entry, and a tail, both without error. Sums of
//   products of two heads over a block are integers below 2^53 times a power of
//   two: exact. They enter C = hi + lo by TwoSum. What is left, head'tail +
//   tail'B, is 2^-24 as large; it is one chain in float64 and enters lo.
//   Columns of B are vector lanes and never meet: a column has the bits that it
//   has alone (column_products.h).
//
// SHAPES   As in column_products.h: B has a multiple of kColumnGroup columns.
//
// SOURCE  Ozaki, Ogita, Oishi, Rump. Error-free transformations of matrix
//   multiplication by using fast routines of matrix multiplication and its
//   applications. Numerical Algorithms 59, 2012. One cut instead of many, and
//   blocks short enough to be exact.
#pragma once

#include <vector>

#include "linalg/block.h"
#include "linalg/column_products.h"

namespace steelyard {

// Rows of a block: 2 x 23 bits of heads and 7 of the sum make 53.
inline constexpr Index kSplitRows = 128;

// A block of rows of A: strips of 8 columns, row after row, as heads and tails.
class SplitStrips {
 public:
  // Room for kSplitRows rows.
  explicit SplitStrips(Index cols);

  // 1 to kSplitRows rows, as many columns as there is room for. No entry is
  // above 2^900 or infinite.
  void Set(Block<const double> rows);

  Index rows() const { return rows_; }
  Index cols() const { return cols_; }
  const double* head() const { return head_.data(); }
  const double* tail() const { return tail_.data(); }

  // About the square of the error of an entry that a column of B with this
  // ceiling and square gives to C, not a bound: a chain of 2 `rows` terms of
  // random signs, the tails evenly spread, each partial sum rounded by 0.41 u.
  double ExpectedSquare(double ceiling, double square) const;

 private:
  Index rows_ = 0;
  Index cols_;
  double ceiling_square_ = 0.0;  // mean over the columns
  double square_ = 0.0;          // of an entry, mean over all
  AlignedVector<double> head_, tail_;
};

// The same rows of B, columns in the lanes.
class SplitColumns {
 public:
  // Room for kSplitRows rows of `width` columns, a multiple of kColumnGroup.
  explicit SplitColumns(Index width);

  // Where the next `rows` rows are to be written, all of them; then Split.
  Block<double> Rows(Index rows);
  // squares[c] := |column c|^2; ceilings[c] := a power of two that no entry of
  // it reaches, at most twice the largest; 0 for 0.
  void Split(std::vector<double>& squares, std::vector<double>& ceilings);

  Index rows() const { return rows_; }
  Index width() const { return width_; }
  Block<const double> whole() const { return BlockAt(whole_); }
  Block<const double> head() const { return BlockAt(head_); }
  Block<const double> tail() const { return BlockAt(tail_); }

 private:
  Block<const double> BlockAt(const AlignedVector<double>& part) const {
    return {part.data(), rows_, width_, width_};
  }

  Index rows_ = 0;
  Index width_;
  AlignedVector<double> whole_, head_, tail_;
};

// By what ExpectedSquare grows where `blocks` of so many rows enter lo one
// after the other: partial sums of lo, each rounded once.
constexpr double GrowthOfSplitSums(Index blocks, Index rows) {
  return 1.0 + static_cast<double>(blocks) / (2.0 * static_cast<double>(rows));
}

// Rows of hi and lo that A of `cols` columns writes.
constexpr Index SplitHeight(Index cols) { return PaddedColumns(cols); }

// How a pass over n rows of A of d columns is cut: blocks that stay in the
// caches with their heads and tails, and slots of consecutive blocks, each with
// d x `columns` sums of its own. By sizes alone: bits do not depend on workers.
struct SplitCut {
  Index block_rows;
  Index blocks;
  Index slots;
};
// Sums of all slots, high parts, where the cut may choose.
inline constexpr Index kSplitSumsMost = Index{1} << 22;
// At least `slots_least` slots (as far as there are blocks), however many
// numbers their sums take.
SplitCut CutOfSplitPass(Index n, Index d, Index columns, Index slots_least);

// hi + lo += A'B for columns first, ... of B and the first columns of A, as
// many as hi has columns and rows: multiples of kColumnGroup, rows up to
// SplitHeight(a.cols()). lo may overlap hi: TwoSum at the end.
// COST  6 rows hi.rows hi.cols flops on one core.
void AddSplitProduct(const SplitStrips& a, const SplitColumns& b, Index first,
                     Block<double> hi, Block<double> lo);

}  // namespace steelyard
