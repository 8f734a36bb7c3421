// Which keys can ever matter: what is asked and what is answered. The calls are
// in client.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "steelyard/client/options.h"
#include "steelyard/client/score_function.h"

namespace steelyard::client {

// A smaller set, for queries with |K q|^2 >= ratio * lambda * |q|^2 only.
struct RidgeVariant {
  double lambda = 0.0;  // > 0, in the units of |K|^2.
  double ratio = 1.0;   // > 0, dimensionless.
};

// How members are looked for. p = 2 only.
enum class Selection {
  kAutomatic,  // kDirect or kFast by cost: the same set.
  kDirect,     // Every score in float64.
  kFast,       // A float32 filter with certain bounds, then float64.
  // Random projections; `method` tells the failure probability, and exact is
  // false.
  kJohnsonLindenstrauss,
};

// Kept by the server under a name, for later calls.
struct Keeping {
  // [a-z][a-z0-9-]{0,62}. Empty: not kept. AlreadyExists if taken.
  std::string set_id = {};

  // Kept this long after the last use. > 0, at most 24 h. Unset: 10 min.
  std::optional<Seconds> ttl = std::nullopt;
};

struct UniversalSetOptions {
  // Smallest score that must not be missed. Dimensionless, in (0, 1]. Required
  // unless top_m is set.
  std::optional<double> epsilon = std::nullopt;

  // At most this many keys a head, the most sensitive, ties to the lower index.
  // >= 1. With epsilon: at most top_m of the keys of sensitivity >= epsilon.
  std::optional<std::int64_t> top_m = std::nullopt;

  ScoreFunction function = Power{2.0};

  // Query i sees keys 0..i: keys count by their score on arrival.
  bool causal = false;

  // p = 2 only, not causal.
  std::optional<RidgeVariant> ridge = std::nullopt;

  Selection selection = Selection::kAutomatic;

  // Valid keys of each head, in [1, n], one a head; rows after them are padding
  // and not read. Empty: n.
  std::vector<std::int64_t> lengths = {};

  // For QueryHeavy and Attend by name.
  Keeping keep = {};

  // Of every random choice (Selection::kJohnsonLindenstrauss only).
  std::optional<std::uint64_t> seed = std::nullopt;
};

// Of one head. No query gives a key outside `indices` a score above
// effective_epsilon.
struct UniversalSet {
  std::int64_t head = 0;              // Zero-based.
  std::vector<std::int64_t> indices;  // Ascending, zero-based.
  // Largest score of the key over all queries; as indices, in [0, 1]. Causal:
  // over the queries that see the keys up to this one.
  std::vector<double> sensitivities;
  double epsilon = 0.0;  // As asked; 0: none.
  // Largest sensitivity of a key outside, its error bound included. 0: no key
  // is outside.
  double effective_epsilon = 0.0;
  std::int64_t rank = 0;  // Numerical, of the keys.
  // |U| <= this for every K of this rank: rank / epsilon for p = 2, n without
  // epsilon; causal and p != 2: total_sensitivity / epsilon.
  double size_bound = 0.0;
  // No key is undecided and no sensitivity is a bound: this is the smallest
  // universal set (with top_m: the true top m).
  bool exact = false;
  // delta: every true sensitivity t has |t - reported| <= delta * reported.
  // Certified, not estimated.
  double relative_score_error = 0.0;
  // Of all n keys (where they are bounds: of the bounds); p = 2: the rank up to
  // rounding.
  double total_sensitivity = 0.0;
  std::int64_t keys = 0;            // n.
  double condition_estimate = 0.0;  // Of the keys, columns scaled.
  std::string method;               // What was done, in words.
  // Which sensitivities are upper bounds; as indices. Empty: all are exact.
  std::vector<bool> upper_bounds;
  // Members within delta of epsilon: rounding hides their side. Ascending.
  std::vector<std::int64_t> undecided;
  // Members that point where the numerical rank does not reach; their
  // sensitivity is reported as 1. Ascending.
  std::vector<std::int64_t> new_direction;
};

struct UniversalSets {
  std::vector<UniversalSet> heads;  // In head order.
  Seconds queue_time{0.0};          // From arrival to the start of the work.
  Seconds compute_time{0.0};
};

}  // namespace steelyard::client
