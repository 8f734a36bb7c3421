// ResidualPass over a sparse matrix.
//
// METHOD  As residual_pass.h says: slots and blocks are cut by the offsets of
//   the matrix and by k (sparse/sparse_rows.h); entries of a block are widened
//   and scaled once for all k columns. Nothing of n x d is ever made.
#pragma once

#include "power/residual_pass.h"

namespace steelyard {

// input.a is sparse.
// COST    4 nonzeros k flops (double-double: some 40 nonzeros k).
// MEMORY  BytesOfCsrPass.
absl::StatusOr<PassResult> CsrResidualPass(const PassInput& input,
                                           Precision precision,
                                           const ComputeContext& context);

double BytesOfCsrPass(Index n, Index d, Index nonzeros, Index k, int workers);

}  // namespace steelyard
