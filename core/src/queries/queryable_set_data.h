// What a QueryableSet holds.
#pragma once

#include <limits>
#include <vector>

#include "factor/factor.h"
#include "steelyard/matrix.h"
#include "steelyard/queryable_set.h"

namespace steelyard {

// Whoever fills it promises, for the queries at epsilon >= effective_epsilon
// that FindHeavyScores admits: no key outside `indices` reaches epsilon. With
// p = 2 that holds when every key outside has
//   tau (1 + delta) <= EpsilonOfMembers(factor, set.effective_epsilon).
struct QueryableSetData {
  ScoreFunction function;
  bool causal = false;
  // Its `keys` is n, as far as Z is concerned. Its effective_epsilon is that of
  // queries: for rank < d above the largest sensitivity left out (see
  // EpsilonOfMembers).
  UniversalSet set;
  // R of all n keys (p = 2), whatever the function is: Z_2 = ||R q||^2.
  Factor factor;
  // Largest index of the n keys, n - 1 unless they are a shard: a causal query
  // at this position or beyond sees all of them. Until it is set, none does.
  Index last_index = std::numeric_limits<Index>::max();
  // The keys that numerators are taken over: the members of `set`, and more
  // where the rank rule (EpsilonOfMembers) or the interval of Z asks for more.
  std::vector<Index> indices;  // ascending
  Matrix<double> keys;         // their rows, times 2^-factor.scales.exponents
  // p != 2: no key outside `indices` has a leverage score, error included,
  // above this (U_2 of N8 is all of `indices`). 1 where nothing is known.
  double leverage_epsilon = 1.0;
  // p = 4, where it was affordable (fourth_moments.h); empty: the interval.
  Matrix<double> fourth_moments;
};

// The stored keys as they were sent.
Matrix<double> UnscaledKeys(const QueryableSetData& set);

// The sensitivity (p = 2) that no key left out may exceed, so that no score of
// epsilon is missed. Full rank: epsilon. Rank r < d: a key may leave the row
// space by
//   |k_out| <= 4 d u |k| + theta s_1 sqrt(tau)
// before the rank rule of N4 sees it, and a query near the null space weighs
// that: with Z > (4 d u ||K|| ||q||)^2 (else the row is undefined)
//   |<q, k>| <= sqrt(tau Z) + |k_out| ||q||
//            <= sqrt(tau Z) (2 + theta / (4 d u)).
double EpsilonOfMembers(const Factor& factor, double epsilon);

}  // namespace steelyard
