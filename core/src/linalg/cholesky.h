// R'R = A for a symmetric positive definite A, in place.
//
// METHOD  Right-looking over square tiles: factor the diagonal tile, solve its
//   row, update what is to the right and below, tiles side by side. Tiles
//   depend on n alone and every tile sees its updates in the same order, so the
//   bits do not depend on the number of threads.
//
// SOURCE  Higham, Accuracy and Stability, ch. 10: |R'R - A| <= (n + 1) u
// |R'||R|.
#pragma once

#include "absl/status/statusor.h"
#include "linalg/block.h"
#include "steelyard/compute_context.h"

namespace steelyard {

struct CholeskyOutcome {
  bool positive_definite = true;
  // The first pivot that was not positive; R is complete in the rows before
  // it. -1: none.
  Index failed_pivot = -1;
};

// SHAPES   a: n x n, row-major, rows `stride` apart. Only the upper triangle is
//          read and written; what lies below is left as it is.
// COST     n^3 / 3 flops, no memory. n to 15,000 and more.
// RANDOM   none.
// ERRORS   Cancelled, DeadlineExceeded, Aborted: `context.stop`, looked at
//          between tiles (34 MFlop).
absl::StatusOr<CholeskyOutcome> CholeskyInPlace(double* a, Index n,
                                                Index stride,
                                                const ComputeContext& context);

}  // namespace steelyard
