// How much of a query's attention a few keys hold.
//
//     A_ij = f(<q_i, k_j>) / sum_l f(<q_i, k_l>),  mass of S = sum_{j in S}
//     A_ij
//
//   for the keys with the largest scores of this query, the keys near it, and
//   the keys that can matter to any query together with those near it.
//
// SOURCE  [KBKW25] LevAttention, the three histograms of its section 5.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/analyze/neighbourhood.h"
#include "client/verify/rows.h"

namespace steelyard::analyze {

struct MassOptions {
  // f(x) = |x|^power; unset: exp(scale x).
  std::optional<double> power;
  double scale = 1.0;
  // How many of the largest scores make the first mass. >= 1.
  int64_t top = 32;
  Neighbourhood near = Window{};
  // Query i sees keys up to its own position.
  bool causal = false;
  // Of all queries at most so many are looked at, evenly spaced. >= 1.
  int64_t queries_max = 2048;
};

// One entry a query that was looked at and has scores.
struct Masses {
  std::vector<double> top;
  std::vector<double> near;
  std::vector<double> important;
  std::vector<double> important_and_near;
  // Keys in `important_and_near`, as a mean over queries.
  double keys_kept = 0.0;
  // Queries whose scores do not exist (all f are 0, or logits overflow).
  int64_t undefined = 0;
};

// SHAPES  keys: n x d; queries: m x d, m <= n if causal; query i is at position
//         n - m + i. `important`: ascending keys.
// COST    2 n d flops a query, in float64; memory O(n d).
// ERRORS  InvalidArgument: a query that is not finite.
absl::StatusOr<Masses> MassesOf(const verify::Rows& keys,
                                const verify::Rows& queries,
                                absl::Span<const int64_t> important,
                                const MassOptions& options);

}  // namespace steelyard::analyze
