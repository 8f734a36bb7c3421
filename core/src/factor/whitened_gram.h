// (A R0^-1)'(A R0^-1), block by block of rows: what is left to correct in an R0
// that almost is the R of A.
//
// METHOD  S = R0^-1 is formed once, column by column (linalg/triangular.h). A
//   panel of rows is multiplied by S in register tiles and its Gram is added to
//   a slot by TwoSum (factor/strip_kernels.h); at most 64 slots by n and d
//   alone, added by a fixed tree. Same bits for any thread count.
//
// SOURCE  NUMERICS N1 (ladder, 3), N4.
#pragma once

#include "absl/status/statusor.h"
#include "factor/row_loader.h"
#include "steelyard/compute_context.h"
#include "steelyard/cost.h"
#include "steelyard/matrix.h"

namespace steelyard {

// Upper triangle of S'A'A S, d x d; below the diagonal: zeros.
// `inverse`: S, upper triangular, zeros below.
//
// COST    2 n d^2 flops, one read of A.
// ERRORS  Cancelled, DeadlineExceeded, Aborted: looked at before each panel.
absl::StatusOr<Matrix<double>> WhitenedGram(const RowLoader& a,
                                            const Matrix<double>& inverse,
                                            const ComputeContext& context);

Cost CostOfWhitenedGram(Index n, Index d, int workers);

}  // namespace steelyard
