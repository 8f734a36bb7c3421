// Scores of the keys that may reach epsilon, bounds for all others.
//
//   certain    keys whose bound B >= tau has B (1 + delta)^2 < epsilon are
//              excluded: tau~ <= B (1 + delta) for the score that float64 would
//              have given, so the members are those of the direct way, to the
//              bit. Everybody else is scored in float64. B is mu ||k_j||^2
//              (norm_bound.h) where that excludes nearly all keys: their
//              lengths were measured when the Gram was made, so they are not
//              read again. Else a float32 product (key_filter.h).
//   sketched   the same with a bound that holds with high probability.
//
// SOURCE  NUMERICS N4, fast mode and Johnson-Lindenstrauss.
#pragma once

#include "absl/status/statusor.h"
#include "factor/factor.h"
#include "factor/row_loader.h"
#include "steelyard/compute_context.h"
#include "steelyard/cost.h"
#include "steelyard/universal_set.h"
#include "universal_set/membership.h"

namespace steelyard {

// Whether UsesFilter may be true, and lengths of the keys be of use, as far as
// shapes and options tell.
bool MayUseLengths(Index n, Index d, const UniversalSetOptions& options);

// Whether `options.selection` asks for a filter, or (kAutomatic) gains by it,
// and these keys allow one: epsilon is set, R of full rank, d <= 1024, delta <=
// 0.1. Where it is false, every key is scored in float64.
bool UsesFilter(Index n, const Factor& factor,
                const UniversalSetOptions& options);

// SHAPES  keys: n x d, as factored; UsesFilter holds. `lengths`: of the keys,
// or
//         empty.
// COST    O(n) where lengths suffice, else n d^2 float32 flops (less where keys
//         are well-conditioned); d^2 float64 flops a candidate. Same bits for
//         any number of workers.
// ERRORS  Cancelled, DeadlineExceeded, Aborted.
absl::StatusOr<LeverageScores> ComputeFilteredScores(
    const AnyMatrixView& keys, const Factor& factor,
    const UniversalSetOptions& options, const ComputeContext& context,
    RowLengths lengths = {});

// Beyond CostOfLeverageScores.
Cost CostOfFilter(Index d, int workers);

}  // namespace steelyard
