// The Gram A'A of a scaled sparse matrix in double-double, from the pairs of
// entries of every row.
//
// METHOD  Products are exact, sums hi + lo. Rows in slots by the matrix alone,
//   each slot a triangle of its own, slots added by a fixed tree: the same bits
//   for any number of workers. Slots take no more memory than the matrix, or
//   there is one.
//
// SOURCE  Ogita, Rump, Oishi (linalg/double_double.h): |E| <= h^2 u^2 |A|'|A|,
//   h the entries of a column; in practice sqrt(h) u^2.
#pragma once

#include "absl/status/statusor.h"
#include "sparse/sparse_rows.h"
#include "steelyard/compute_context.h"
#include "steelyard/cost.h"

namespace steelyard {

// d x d each; below the diagonal: zeros. |lo| <= u |hi|.
struct TwiceGram {
  Matrix<double> hi;
  Matrix<double> lo;
};

// COST    CountPairs steps of some 16 flops.
// ERRORS  Cancelled, DeadlineExceeded, Aborted: the stop token.
absl::StatusOr<TwiceGram> GramOfCsr(const SparseRows& a,
                                    const ComputeContext& context);

// Pairs of entries of a row, over all rows: sum of c (c + 1) / 2.
double CountPairs(const SparseRows& a);

Cost CostOfCsrGram(Index n, Index d, Index nonzeros, int workers);

}  // namespace steelyard
