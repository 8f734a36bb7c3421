// Products of many float64 rows with double-double vectors, at vector speed.
//
//     dots   y_i = a_i . z            sums   s += sum_i y_i a_i
//
// METHOD  Dot2 of Ogita, Rump and Oishi in every vector lane: the rounding
//   errors of products and sums are summed beside the sum. As accurate as if
//   computed with 106 bits and rounded once per operation: the error is at most
//   d^2 2^-104 |a_i| . |z|. Run-time choice of the SIMD target; targets without
//   fused multiply-add split their factors (Dekker).
//
// SOURCE  See linalg/double_double.h.
#pragma once

#include "steelyard/matrix_view.h"

namespace steelyard {

// count x d, row-major.
struct RowPanel {
  const double* data;
  Index count;
  Index d;
};

// y_hi + y_lo = A z, z = z_hi + z_lo. All of length d; y of length count.
void DotRows(const RowPanel& rows, const double* z_hi, const double* z_lo,
             double* y_hi, double* y_lo);

// s_hi + s_lo += A'y. s is kept as an unevaluated sum whose low part may
// overlap the high one: Add the two with TwoSum at the end.
void AddRows(const RowPanel& rows, const double* y_hi, const double* y_lo,
             double* s_hi, double* s_lo);

}  // namespace steelyard
