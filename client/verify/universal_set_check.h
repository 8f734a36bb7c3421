// Is this the universal set that it says it is?
#pragma once

#include <cstdint>

#include "client/verify/leverage.h"
#include "client/verify/rows.h"
#include "client/verify/verdict.h"
#include "steelyard/client/universal_set.h"

namespace steelyard::verify {

struct UniversalSetCheck {
  Verdict verdict;
  // Largest leverage score of a key outside the set, and that key; -1: no key
  // is outside.
  double largest_excluded = 0.0;
  int64_t largest_excluded_key = -1;
  // Largest |reported - recomputed| / recomputed over the members.
  double largest_member_error = 0.0;
  // Keys whose attaining query was scored against all n keys.
  int64_t attaining_queries = 0;
};

// Holds the answer for one head against `reference`, which was made from the
// same keys:
//
//   the lists are well formed; rank, |U| <= bound, |U| <= top_m;
//   every excluded key scores <= effective_epsilon < epsilon;
//   every member's score lies in its interval, and reaches epsilon unless the
//     answer calls it undecided or a new direction;
//   with top_m, no excluded key scores above a member;
//   the query (K'K)^+ k_j, scored over all n keys one by one, gives key j its
//     leverage: for every member and the highest-scoring other keys, as many
//     as `flops_max` allows.
//
// Bounds are widened by reference.score_error(), and by nothing else.
UniversalSetCheck CheckUniversalSet(const Rows& keys,
                                    const LeverageReference& reference,
                                    const client::UniversalSetOptions& asked,
                                    const client::UniversalSet& set,
                                    double flops_max = 1e10);

}  // namespace steelyard::verify
