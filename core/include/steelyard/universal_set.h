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

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "steelyard/compute_context.h"
#include "steelyard/cost.h"
#include "steelyard/matrix_view.h"
#include "steelyard/score_function.h"

namespace steelyard {

// For queries with ||K q||^2 >= ratio * lambda * ||q||^2 only: a smaller set.
// Both > 0; lambda in the units of ||K||^2. p = 2 only, not causal. No score of
// such a query exceeds
//     sigma_j = min(tau_j, (1 + 1/ratio) k_j' (K'K + lambda I)^-1 k_j),
// which stands for the sensitivity then: the set is { sigma >= epsilon }, and
// all that an answer says of itself speaks of sigma. Found directly, whatever
// `selection` is, at twice the cost.
struct RidgeVariant {
  double lambda = 0.0;
  double ratio = 0.0;
};

// How members are looked for (p = 2 in one batch; others take no notice).
enum class Selection {
  // kFast where members are few beside the keys (epsilon n >= 3 d, n >= 16 d),
  // else kDirect: the same set, by cost.
  kAutomatic,
  // Every score in float64.
  kDirect,
  // Certain upper bounds in float32 leave a few candidates, which are scored in
  // float64: the same indices, sensitivities, `undecided` and `exact` as
  // kDirect, to the bit. What is not looked at is told by its bound:
  // effective_epsilon is a certified, but larger, bound of the excluded keys
  // (below epsilon), and total_sensitivity is the rank, which the sum of all
  // scores is up to rounding.
  kFast,
  // Estimates from 48 random columns; every key whose estimate reaches 0.1
  // epsilon is scored in float64. `method` tells the probability that a member
  // is missing, to which effective_epsilon is subject too; never `exact`.
  kJohnsonLindenstrauss
  // Both of the last are kDirect where they cannot work: no epsilon, a rank
  // below d, d > 1024, delta > 0.1.
};

struct UniversalSetOptions {
  // Smallest attention score that must not be missed. Dimensionless, in (0, 1].
  // Unset: no threshold (then top_m is set).
  std::optional<double> epsilon;
  // At most this many keys, the most sensitive, ties to the lower index. >= 1.
  std::optional<Index> top_m;
  // Softmax, heuristic: the set of p = 2 of the centred keys. Nothing is
  // promised for softmax: exact is false, effective_epsilon 1, the method says
  // "heuristic: ", sensitivities are those of p = 2. Costs a float64 copy of the
  // keys more. Softmax, certified: InvalidArgument, as no set smaller than the
  // keys exists; softmax_index.h finds certified scores.
  ScoreFunction function = Power{2.0};
  // Query i sees keys 0..i: a key counts by its score on arrival (N5).
  bool causal = false;
  std::optional<RidgeVariant> ridge;
  Selection selection = Selection::kAutomatic;
  // Of every random choice (kJohnsonLindenstrauss only).
  std::uint64_t seed = 0;
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
  double total_sensitivity = 0.0;     // Sum over all n keys (kFast: rank).
  Index keys = 0;                     // n.
  double condition_estimate = 0.0;    // Of the column-scaled K.
  std::string method;                 // In words.
  std::vector<Index> undecided;       // Members within delta of epsilon.
  std::vector<Index> new_direction;   // Members kept by the rank rule of N4.
  // Of the keys above: 1 where the sensitivity is an upper bound. Empty: none.
  std::vector<std::uint8_t> upper_bounds;
};

// SHAPES   keys: n x d, row-major, n >= 1, d >= 1.
// SCALARS  half, bfloat16, float, double; sums are float64.
// COST     2 n d^2 flops (each of the two products is a triangle); kFast: half
//          of it in float32, or less. Memory: CostOfUniversalSet.
// RANDOM   none, but for kJohnsonLindenstrauss: options.seed.
// ERRORS   InvalidArgument: a NaN or infinity in keys (field "keys").
//          Cancelled, DeadlineExceeded: `context.stop`.
absl::StatusOr<UniversalSet> FindUniversalSet(
    const AnyMatrixView& keys, const UniversalSetOptions& options,
    const ComputeContext& context);

// The same for every head; heads run side by side and may differ in length. A
// NaN or infinity is reported with the row counted through all heads.
absl::StatusOr<std::vector<UniversalSet>> FindUniversalSets(
    absl::Span<const AnyMatrixView> heads, const UniversalSetOptions& options,
    const ComputeContext& context);

// For `heads` heads of n x d keys on `workers` workers.
Cost CostOfUniversalSet(Index heads, Index n, Index d, int workers);

// The same for the score function of `options`: without options, that of p = 2.
Cost CostOfUniversalSet(Index heads, Index n, Index d,
                        const UniversalSetOptions& options, int workers);

}  // namespace steelyard
