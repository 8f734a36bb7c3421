// The Gram A'A of a scaled matrix, summed so that its error does not grow with
// the number of rows.
//
// METHOD  Row panels of 256 rows, sized for the second-level cache, in
//   at most 64 slots by n and d alone. A panel's product is a plain sum held in
//   registers (strip_kernels.h), which leaves them by a TwoSum into its slot,
//   panels in order; slots are added by a fixed tree, also with TwoSum. Wide
//   matrices are cut into column tiles too. Same bits for any thread count.
//
// SOURCE  NUMERICS N1 (plain sums drift, 74 u at 4M rows). |E| <= (h + 2) u
//   |A|'|A| for panels of h rows: Higham, ch. 3 and 4.3.
#pragma once

#include "absl/status/statusor.h"
#include "factor/row_loader.h"
#include "steelyard/compute_context.h"
#include "steelyard/cost.h"
#include "steelyard/matrix.h"

namespace steelyard {

// Rows that one plain sum runs over: the h of the error bound.
Index GramPanelRows(Index n);

// Upper triangle of A'A, d x d; below the diagonal: zeros.
// `lengths`: of the rows, measured on the way where a row is one tile (d up to
// 512), else left empty. Its factors are given, and `a` does not scale.
//
// COST  n d^2 flops (tiles across the diagonal; those on it count twice).
// ERRORS  Cancelled, DeadlineExceeded, Aborted: looked at before each panel.
absl::StatusOr<Matrix<double>> UpperGram(const RowLoader& a,
                                         const ComputeContext& context,
                                         RowLengths* lengths = nullptr);

Cost CostOfGram(Index n, Index d, int workers);

}  // namespace steelyard
