// The universal set for f = sum c_i |x|^p_i other than |x|^2: certified
// intervals of all sensitivities, members by their upper ends.
//
// METHOD  Leverage scores and Lewis bounds, then exact refinement near epsilon
//   (interval_refinement.h). A key stays out only when its upper end is below
//   epsilon; one whose lower end is, too, is undecided.
//
// SOURCE  NUMERICS N7. [KBKW25] Kannan, Bhattacharyya, Kacham, Woodruff.
//   LevAttention. ICLR 2025.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "sensitivity/key_refiner.h"
#include "steelyard/compute_context.h"
#include "steelyard/cost.h"
#include "steelyard/universal_set.h"

namespace steelyard {

// The distinct exponents of a Power or PowerSum with positive coefficients,
// ascending. The sensitivities bounded here do not depend on coefficients.
std::vector<double> ExponentsOf(const ScoreFunction& function);

// Members, undecided, effective_epsilon, exactness and totals from intervals;
// `new_direction` (ascending) are members of sensitivity 1. What concerns the
// keys as a whole (rank, method) is left to the caller.
UniversalSet SelectByIntervals(
    const std::vector<SensitivityInterval>& intervals,
    const std::vector<Index>& new_direction,
    const UniversalSetOptions& options);

// options.function: Power or PowerSum; no ridge. Causal: bounds on arrival.
// COST    that of p = 2, up to 24 Lewis rounds of 2 n r^2 flops a term and the
//         budget of the refinement. ERRORS as FindUniversalSet.
absl::StatusOr<UniversalSet> FindPowerSet(const AnyMatrixView& keys,
                                          Index rows_before,
                                          const UniversalSetOptions& options,
                                          const ComputeContext& context);

// Of one head beyond its factorisation and leverage scores.
Cost CostOfPowerSet(Index n, Index d, const ScoreFunction& function,
                    int workers);

}  // namespace steelyard
