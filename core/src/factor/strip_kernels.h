// The two products that a universal set is made of, on rows cut into strips of
// one cache line of columns: K'K of a panel of rows, and the row norms of K B.
//
// METHOD  Numbers are widened (and scaled) once, into strips: strip s holds
//   columns s w .. s w + w - 1, w = 64 / sizeof(T), row after row, so that both
//   products read memory in order and never meet a width that is not a whole
//   vector. Products are held in registers, a tile of rows x strips at a time,
//   and leave them once: as one compensated addition (Gram), or squared and
//   added (norms). Vectors of whatever this processor has, chosen at run time;
//   the same order of additions within one processor type.
//
// SCALARS  strips of double or float; rows of any storage type.
#pragma once

#include "linalg/block.h"
#include "steelyard/matrix_view.h"

namespace steelyard {

// Columns of a strip.
template <typename T>
inline constexpr Index kStripColumns = static_cast<Index>(64 / sizeof(T));

// Strips hold a multiple of this many rows; rows that are not there are zero.
inline constexpr Index kStripRowGroup = 8;

template <typename T>
constexpr Index StripsFor(Index cols) {
  return (cols + kStripColumns<T> - 1) / kStripColumns<T>;
}

constexpr Index StripRows(Index rows) {
  return (rows + kStripRowGroup - 1) / kStripRowGroup * kStripRowGroup;
}

// Numbers that a StripBlock of `rows` (StripRows of something) needs.
template <typename T>
constexpr Index StripSize(Index rows, Index strips) {
  return (rows + 1) * strips * kStripColumns<T>;
}

// `strips` strips of `rows` rows, a multiple of kStripRowGroup, at `data`,
// which is aligned to 64 bytes.
template <typename T>
struct StripBlock {
  T* data = nullptr;
  Index rows = 0;
  Index strips = 0;

  // Numbers from one strip to the next. An odd number of lines, so that strips
  // do not meet in the same sets of the cache.
  Index pitch() const { return (rows + 1) * kStripColumns<T>; }
  T* strip(Index s) const { return data + s * pitch(); }

  operator StripBlock<const T>() const  // NOLINT: what is written may be read
      requires(!std::is_const_v<T>) {
    return {data, rows, strips};
  }
};

// `out` := rows x cols entries of `in`, `in_stride` apart, column c times
// factors[c]; strips and rows past them are zero. Float strips: rounded once,
// after the product. `cols` fits out.strips, `rows` fits out.rows.
template <KeyScalar In>
void PackStrips(const In* in, Index in_stride, const double* factors,
                Index rows, Index cols, StripBlock<double> out);
template <KeyScalar In>
void PackStrips(const In* in, Index in_stride, const double* factors,
                Index rows, Index cols, StripBlock<float> out);

// The same for float64, and squares[i] := sum over c of (factors[c] weights[c]
// in(i, c))^2, with cols + 2 roundings.
template <KeyScalar In>
void PackStrips(const In* in, Index in_stride, const double* factors,
                const double* weights, Index rows, Index cols,
                StripBlock<double> out, double* squares);

// Memory that the caller will read next: brought near while a product is made.
// None: {}.
struct ReadNext {
  const void* begin = nullptr;
  Index bytes = 0;
};

// (hi, lo) += A'B, entry by entry by Knuth's TwoSum, the product of all rows a
// plain sum in row order. `hi` and `lo` are whole strips wide and high
// (columns: 8 b.strips, rows: 8 a.strips). With `upper`, A is B and strips
// below the diagonal stay as they are.
void AddGram(StripBlock<const double> a, StripBlock<const double> b, bool upper,
             Block<double> hi, Block<double> lo, ReadNext next = {});

// Strips [first, last) of `out` := those of K B, B upper triangular: what lies
// below its diagonal is zero, and is not all read. B is as in RowNorms; `out`
// has at least as many rows as K, and only so many are written.
// |error| <= gamma_depth |K||B|, depth = rows of B.
void MultiplyStrips(StripBlock<const double> k, StripBlock<const double> b,
                    Index first, Index last, StripBlock<double> out,
                    ReadNext next = {});

// norms[i] := squared norm of row i of K B for the first `count` rows of K,
// columns of B in strips before `first` left out. B has as many rows as K has
// columns (k.strips whole strips). With `upper`, B is upper triangular: what
// lies below its diagonal is zero, and is not all read.
// `sums` has room for k.rows lines of 64 bytes.
// |error of a row| before squaring <= gamma_depth |k|'|B|, depth = rows of B.
void RowNorms(StripBlock<const double> k, StripBlock<const double> b,
              bool upper, Index first, Index count, double* sums, double* norms,
              ReadNext next = {});
void RowNorms(StripBlock<const float> k, StripBlock<const float> b, bool upper,
              Index first, Index count, float* sums, float* norms,
              ReadNext next = {});

// squares[i] := squared norm of the first `strips` strips of row i.
void RowSquares(StripBlock<const float> k, Index strips, Index count,
                float* squares);

}  // namespace steelyard
