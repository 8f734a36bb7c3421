// R'R = G in double-double: R of the grade of a Householder QR from a Gram that
// was summed in double-double, at a price that does not depend on rows.
//
// METHOD  Right-looking over square tiles (cholesky.h), every product and sum
//   by error-free transformations: |R'R - G| <= c n 2^-104 |R'||R|. A pivot at
//   most (8 u)^2 times the diagonal of G is the square of a column's part that
//   the columns before it do not span and that float64 cannot tell from
//   rounding: its row becomes zero, which is what R would be of a matrix whose
//   column is changed by 8 u of its length. Hence rank deficient G are taken,
//   and R is backward stable for all of them.
//
// SOURCE  Higham, Accuracy and Stability, ch. 10; the dropped rows are derived
//   here: the Schur complement without row k is that of the columns with the
//   k-th replaced by its projection on those before it.
#pragma once

#include "absl/status/statusor.h"
#include "linalg/block.h"
#include "steelyard/compute_context.h"

namespace steelyard {

// SHAPES   hi + lo: n x n, of which the upper triangle is read and replaced by
//          R; what lies below is left as it is. Normalised: |lo| <= u |hi|.
//          Returns how many rows became zero.
// COST     n^3 / 6 steps of some 16 flops; memory 4 n words.
// RANDOM   none. Same bits for any number of workers.
// ERRORS   Cancelled, DeadlineExceeded, Aborted: `context.stop`, looked at
//          between tiles.
absl::StatusOr<Index> DoubleDoubleCholesky(Block<double> hi, Block<double> lo,
                                           const ComputeContext& context);

}  // namespace steelyard
