// Which keys can ever matter, and every large attention score: what is asked
// and what is answered. The calls are in client.h.
//
// Scores are A_ij = |<q_i, k_j>|^p / sum_l |<q_i, k_l>|^p.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "steelyard/client/options.h"

namespace steelyard::client {

struct UniversalSetOptions {
  // Smallest score that must not be missed. Dimensionless, in (0, 1]. Required
  // unless top_m is set.
  std::optional<double> epsilon = std::nullopt;

  // At most this many keys a head, the most sensitive, ties to the lower index.
  // >= 1. With epsilon: at most top_m of the keys of sensitivity >= epsilon.
  std::optional<std::int64_t> top_m = std::nullopt;

  // p of |x|^p. Dimensionless. This version's server takes 2 only.
  double power = 2.0;

  // Of every random choice. The set for p = 2 makes none.
  std::optional<std::uint64_t> seed = std::nullopt;
};

// Of one head. No query gives a key outside `indices` a score above
// effective_epsilon.
struct UniversalSet {
  std::int64_t head = 0;              // Zero-based.
  std::vector<std::int64_t> indices;  // Ascending, zero-based.
  // Largest score of the key over all queries; as indices, in [0, 1].
  std::vector<double> sensitivities;
  double epsilon = 0.0;  // As asked; 0: none.
  // Largest sensitivity of a key outside, its error bound included. 0: no key
  // is outside.
  double effective_epsilon = 0.0;
  std::int64_t rank = 0;    // Numerical, of the keys.
  double size_bound = 0.0;  // rank / epsilon; n without epsilon.
  // No key is undecided: this is the smallest universal set (with top_m: the
  // true top m).
  bool exact = false;
  // delta: every true sensitivity t has |t - reported| <= delta * reported.
  // Certified, not estimated.
  double relative_score_error = 0.0;
  double total_sensitivity = 0.0;   // Of all n keys; the rank up to rounding.
  std::int64_t keys = 0;            // n.
  double condition_estimate = 0.0;  // Of the keys, columns scaled.
  std::string method;               // What was done, in words.
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

struct HeavyOptions {
  // Smallest score to report. Dimensionless, in (0, 1].
  double epsilon = 0.01;

  // p of |x|^p, as UniversalSetOptions::power.
  double power = 2.0;
};

// Of one query. A key is here iff the upper end of its score's error interval
// reaches epsilon, so that none is missed.
struct HeavyRow {
  std::vector<std::int64_t> indices;  // Ascending, zero-based, of the key head.
  std::vector<double> scores;         // Same order.
  // sum_l |<q, k_l>|^p over all n keys is normalizer * 2^normalizer_exponent.
  double normalizer = 0.0;
  std::int32_t normalizer_exponent = 0;
  double captured_mass = 0.0;  // Share that `indices` hold, in [0, 1].
  // The query is 0 or orthogonal to every key: it has no scores.
  bool undefined = false;
};

struct HeavyScores {
  std::vector<HeavyRow> rows;  // G m of them; row g m + i: query i of head g.
  Seconds queue_time{0.0};
  Seconds compute_time{0.0};
};

}  // namespace steelyard::client
