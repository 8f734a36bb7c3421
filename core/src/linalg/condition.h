// An estimate of sigma_1 / sigma_n of a triangle too large for its SVD.
//
// METHOD  Power iteration on R'R and on its inverse, four start vectors of
//   random signs each (fixed seed), ten steps. Never larger than the true
//   number but for rounding; within a factor of two in every test. It certifies
//   nothing.
#pragma once

#include "absl/status/statusor.h"
#include "linalg/block.h"
#include "steelyard/compute_context.h"

namespace steelyard {

// SHAPES   r: n x n upper, no zero on the diagonal.
// COST     160 n^2 flops; memory 8 n words.
// RANDOM   fixed: same R, same estimate.
// ERRORS   Cancelled, DeadlineExceeded, Aborted.
absl::StatusOr<double> EstimateCondition(Block<const double> r,
                                         const ComputeContext& context);

}  // namespace steelyard
