// The keys that can receive an attention score >= epsilon from some query.
//
//     U = { j : sigma_j >= epsilon },   sigma_j = k_j' (K'K)^+ k_j,   K is n x d.
//
// METHOD  R'R = K'K (factor.h chooses Gram or Householder by a certified error
//   bound); sigma_j = ||R^{-T} k_j||^2. No smaller set works: the query
//   (K'K)^+ k_j gives key j exactly sigma_j.
//
// SOURCE  NUMERICS N4. Symbols follow [KBKW25].
//   [KBKW25] Kannan, Bhattacharyya, Kacham, Woodruff. LevAttention. ICLR 2025.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "steelyard/compute_context.h"
#include "steelyard/cost.h"
#include "steelyard/matrix_view.h"

namespace steelyard {

struct UniversalSetOptions {
  // Smallest attention score that must not be missed. Dimensionless, in (0, 1].
  // Unset: no threshold (then top_m is set).
  std::optional<double> epsilon;
  // At most this many keys, the most sensitive, ties to the lower index. >= 1.
  std::optional<Index> top_m;
};

struct UniversalSet {
  std::vector<Index> indices;         // Ascending, zero-based.
  std::vector<double> sensitivities;  // Of the keys above, in [0, 1].
  // The largest sensitivity of an excluded key, its error included; 0: none.
  double effective_epsilon = 0.0;
  Index rank = 0;                     // Of K.
  double size_bound = 0.0;            // rank / epsilon; n without epsilon.
  bool exact = false;  // Nothing undecided, for keys of this numerical rank.
  double relative_score_error = 0.0;  // delta of N4, certified.
  double total_sensitivity = 0.0;     // Sum over all n keys.
  Index keys = 0;                     // n.
  double condition_estimate = 0.0;    // Of the column-scaled K.
  std::string method;                 // In words.
  std::vector<Index> undecided;       // Members within delta of epsilon.
  std::vector<Index> new_direction;   // Members kept by the rank rule of N4.
};

// SHAPES   keys: n x d, row-major, n >= 1, d >= 1.
// SCALARS  half, bfloat16, float, double; sums are float64.
// COST     2 n d^2 flops; memory: CostOfUniversalSet.
// RANDOM   none.
// ERRORS   InvalidArgument: a NaN or infinity in keys (field "keys").
//          Cancelled, DeadlineExceeded: `context.stop`.
absl::StatusOr<UniversalSet> FindUniversalSet(
    const AnyMatrixView& keys, const UniversalSetOptions& options,
    const ComputeContext& context);

// The same for every head; heads run side by side. A NaN or infinity is
// reported with the row counted through all heads, as in an H x n x d tensor.
absl::StatusOr<std::vector<UniversalSet>> FindUniversalSets(
    absl::Span<const AnyMatrixView> heads, const UniversalSetOptions& options,
    const ComputeContext& context);

// For `heads` heads of n x d keys on `workers` workers.
Cost CostOfUniversalSet(Index heads, Index n, Index d, int workers);

}  // namespace steelyard
