// Every attention score >= epsilon of given queries, without scoring all keys.
//
//     A_ij = f(<q_i, k_j>) / Z_i,   Z_i = sum_l f(<q_i, k_l>).
//
// METHOD  p = 2: numerators over the universal set only; Z_i = ||R q_i||^2, in
//   O(d^2), without n. A key is returned iff the upper end of its score's error
//   interval reaches epsilon.
//   Other powers and sums of them: with the keys at hand and up to 16 d queries
//   of a key head, products with all keys: exact scores. Beyond that, and from
//   a QueryableSet: numerators over the stored keys; Z_i exactly where p = 4
//   and d <= 32 (fourth moments of the whitened keys) or where all keys are
//   stored, else a proven interval for Z_i, and so for the scores.
//   Causal, with the keys at hand: products with all keys that are seen.
//   Softmax, certified: softmax_index.h, which also serves many blocks of
//   queries; rows come as intervals or, where every key was looked at, exact.
//   Heuristic: over the universal set of p = 2 of the centred keys only, found
//   with this epsilon; Z, scores and captured mass are shares among these keys,
//   and a heavy key elsewhere is missed.
//
// SOURCE  NUMERICS N8.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "steelyard/compute_context.h"
#include "steelyard/cost.h"
#include "steelyard/matrix_view.h"
#include "steelyard/queryable_set.h"
#include "steelyard/score_function.h"

namespace steelyard {

struct HeavyRow {
  std::vector<Index> indices;  // Ascending, zero-based.
  // Of the keys above, in [0, 1]; lower ends where scores_upper is not empty.
  std::vector<double> scores;
  std::vector<double> scores_upper;  // Empty: the scores are exact.
  // Z * 2^-normalizer_exponent; where scores are intervals, Z's lower end.
  double normalizer = 0.0;
  int normalizer_exponent = 0;  // Not 0 only when Z is outside float64.
  // Share of Z that `indices` hold; a lower bound where scores are intervals.
  double captured_mass = 0.0;
  bool undefined = false;  // Z is 0 to working accuracy.
  Index keys_scored = 0;   // Softmax, certified: keys looked at.
};

struct HeavyOptions {
  // Smallest score to report. Dimensionless, in (0, 1].
  double epsilon = 0.01;
  // Of inline keys; a QueryableSet has its own.
  ScoreFunction function = Power{2.0};
  // Query i sees keys 0..positions[i]; one position a query of a head.
  bool causal = false;
  std::vector<Index> positions = {};
};

// SHAPES   key_heads: H views of n x d; query_heads: G views of m x d, G a
//          multiple of H. Query head g reads key head floor(g H / G). Answers
//          are head-major: row g m + i.
// SCALARS  half, bfloat16, float, double, mixed freely; sums are float64.
// COST     that of the universal sets, then d (d + |U|) flops a query; with
//          products over all keys at most 4 n d flops a query.
// RANDOM   none.
// ERRORS   InvalidArgument: a NaN or infinity (field "keys" or "queries").
//          Cancelled, DeadlineExceeded: `context.stop`.
absl::StatusOr<std::vector<HeavyRow>> FindHeavyScores(
    absl::Span<const AnyMatrixView> key_heads,
    absl::Span<const AnyMatrixView> query_heads, const HeavyOptions& options,
    const ComputeContext& context);

// The same from sets whose keys are gone. options.epsilon must be at least
// every set's effective_epsilon.
// COST     d (d + |U|) flops a query, whatever n is; p != 2: twice that.
// ERRORS   FailedPrecondition EPSILON_BELOW_SET; PREFIX_UNKNOWN: a causal query
//          at a position whose normaliser the set does not hold.
absl::StatusOr<std::vector<HeavyRow>> FindHeavyScores(
    absl::Span<const QueryableSet> key_heads,
    absl::Span<const AnyMatrixView> query_heads, const HeavyOptions& options,
    const ComputeContext& context);

// For H heads of n x d keys and G heads of m queries; the answer included.
Cost CostOfHeavyScores(Index key_heads, Index n, Index d, Index query_heads,
                       Index m, const HeavyOptions& options, int workers);

// p = 2, not causal.
Cost CostOfHeavyScores(Index key_heads, Index n, Index d, Index query_heads,
                       Index m, double epsilon, int workers);

// From sets: beside the sets themselves.
Cost CostOfHeavyScores(absl::Span<const QueryableSet> key_heads,
                       Index query_heads, Index m, const HeavyOptions& options,
                       int workers);

}  // namespace steelyard
