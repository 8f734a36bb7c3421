// One block of rows against k columns, in one read: r := r - A z, s += A'r.
//
// METHOD  Some rows at a time, so that they are still in the first-level cache
//   when A'r needs them. Lanes run along a row. Every number of r is one sum of
//   fixed order over its row, every number of s one chain in row order, so a
//   column gets the same bits alone and beside any others. In double-double as
//   linalg/double_double_rows.h does it. Vectors of whatever this processor
//   has, chosen at run time.
//
// SHAPES   z: k columns of d numbers, one after the other; null: zero. r:
//          columns of a.count numbers, `stride` apart. s: as z.
#pragma once

#include "linalg/double_double_rows.h"
#include "steelyard/matrix_view.h"

namespace steelyard {

// COST  4 count d k flops. |error of r| <= gamma_(d+1) |A||z|, of s: that of
//   `count` terms.
void AddResidualBlock(const RowPanel& a, const double* z, Index k, double* r,
                      Index stride, double* s);

struct DoubleDoubleColumns {
  double* hi;
  double* lo;
};

// The same with z, r and s as hi + lo; s as an unevaluated sum, see AddRows.
void AddResidualBlockTwice(const RowPanel& a, const double* z_hi,
                           const double* z_lo, Index k, DoubleDoubleColumns r,
                           Index stride, DoubleDoubleColumns s);

}  // namespace steelyard
