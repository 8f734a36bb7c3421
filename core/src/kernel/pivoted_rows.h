// The smallest ridge that makes a kernel regression solvable.
//
//     l_min = max_{i in F} floor_i M_ii
//
//   F are the rows left when Cholesky of G, largest pivot first, reaches the
//   floor of rounding (n u, and 8 u q_i of the logits). The scaled matrix has
//   M = D G D without its ridge, so that l_min lifts the pivots of F over it.
//
// SOURCE  NUMERICS N3. Higham, Accuracy and Stability, 10.3 (pivoting).
#pragma once

#include "absl/status/statusor.h"
#include "kernel/logits.h"
#include "kernel/symmetric_form.h"
#include "steelyard/compute_context.h"
#include "steelyard/matrix.h"

namespace steelyard {

struct SmallestRidge {
  double log_ridge = 0.0;  // ln l_min
  Index rank = 0;          // n less the rows of F
};

// COST    n r^2 flops for rank r; 8 n^2 bytes.
// ERRORS  Cancelled, DeadlineExceeded, Aborted: the stop token.
absl::StatusOr<SmallestRidge> FindSmallestRidge(const KernelRows& rows,
                                                const SymmetricForm& form,
                                                const ComputeContext& context);

// The same with every row in F: an upper estimate, O(n).
double LogSmallestRidgeBound(const KernelRows& rows, const SymmetricForm& form);

}  // namespace steelyard
