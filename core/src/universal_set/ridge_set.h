// The smaller universal set for queries that a ridge does not change much.
//
//   Queries with ||K q||^2 >= c lambda ||q||^2:
//       <q, k>^2 <= tau ||K q||^2,
//       <q, k>^2 <= tau^lambda (||K q||^2 + lambda ||q||^2)
//                <= tau^lambda (1 + 1/c) ||K q||^2,
//   tau^lambda = k' (K'K + lambda I)^-1 k. No score of such a query exceeds
//       sigma = min(tau, (1 + 1/c) tau^lambda),
//   so { sigma >= epsilon } misses none of them.
//
// SOURCE  NUMERICS N4, ridge variant (the second line is Cauchy-Schwarz).
#pragma once

#include "absl/status/statusor.h"
#include "steelyard/compute_context.h"
#include "steelyard/matrix_view.h"
#include "steelyard/universal_set.h"

namespace steelyard {

// options.ridge is set. The certificates are those of the plain set, for
// sigma: `undecided`, effective_epsilon and `exact` speak of { sigma >= epsilon
// }; size_bound = min(rank, (1 + 1/c) sum tau^lambda) / epsilon;
// total_sensitivity sums sigma. upper_bounds[u] = 0 where the query that gives
// key u its tau is one of those spoken of: then sigma = tau is reached.
// COST    two factorisations and two sets of scores: twice the plain set.
// ERRORS  InvalidArgument CONFLICTING_FIELDS: another function than |x|^2, or
//         causal; FIELD_OUT_OF_RANGE: lambda or ratio not positive and finite.
//         As FindUniversalSet.
absl::StatusOr<UniversalSet> FindRidgeSet(const AnyMatrixView& keys,
                                          Index rows_before,
                                          const UniversalSetOptions& options,
                                          const ComputeContext& context);

}  // namespace steelyard
