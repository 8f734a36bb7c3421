// Heavy softmax scores against inline keys, in both modes.
//
// SOURCE  NUMERICS N7.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "steelyard/compute_context.h"
#include "steelyard/heavy_scores.h"
#include "steelyard/matrix.h"
#include "steelyard/matrix_view.h"

namespace steelyard {

// What FindHeavyScores of heavy_scores.h does when options.function is Softmax.
//   kCertified  indexes the keys, then FindHeavyScores of softmax_index.h.
//   kHeuristic  scores over the universal set of p = 2 of the centred keys
//               only, found with options.epsilon: shares among these keys.
//               `undefined`: the query sees none of them.
absl::StatusOr<std::vector<HeavyRow>> FindHeavySoftmaxScores(
    absl::Span<const AnyMatrixView> key_heads,
    absl::Span<const AnyMatrixView> query_heads, const HeavyOptions& options,
    const ComputeContext& context);

// Softmax over the given keys alone: row u of `keys` (float64) has the index
// indices[u], ascending. Causal positions speak of these indices.
absl::StatusOr<std::vector<HeavyRow>> FindHeavyScoresAmong(
    const Matrix<double>& keys, absl::Span<const Index> indices,
    absl::Span<const AnyMatrixView> query_heads, const HeavyOptions& options,
    const ComputeContext& context);

}  // namespace steelyard
