// Leverage scores of every key from one factor of the keys.
//
//     full rank   tau_j = ||R^-T k_j||^2
//     rank r < d  tau_j = ||S_r^-1 V_r' k_j||^2, and a key that leaves the row
//                 space of rank r by more than rounding gets score 1
//
// SOURCE  NUMERICS N4.
#pragma once

#include "absl/status/statusor.h"
#include "factor/factor.h"
#include "steelyard/cost.h"
#include "universal_set/membership.h"

namespace steelyard {

// SHAPES   keys: n x d, as factored. COST n d^2 flops (rank < d: 4 n d r);
//          memory n + a block a worker. RANDOM none.
// ERRORS   Cancelled, DeadlineExceeded, Aborted (the server drains).
absl::StatusOr<LeverageScores> ComputeLeverageScores(
    const AnyMatrixView& keys, const Factor& factor,
    const ComputeContext& context);

Cost CostOfLeverageScores(Index n, Index d, int workers);

}  // namespace steelyard
