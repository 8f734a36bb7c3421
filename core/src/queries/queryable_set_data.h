// What a QueryableSet holds.
#pragma once

#include <vector>

#include "factor/factor.h"
#include "steelyard/matrix.h"
#include "steelyard/queryable_set.h"

namespace steelyard {

struct QueryableSetData {
  ScoreFunction function;
  bool causal = false;
  // Its `keys` is n, as far as Z is concerned.
  UniversalSet set;
  // R of all n keys (p = 2), whatever the function is: Z_2 = ||R q||^2.
  Factor factor;
  // The keys that numerators are taken over: the members of `set`, and more
  // where the rank rule (EpsilonOfMembers) or the interval of Z asks for more.
  std::vector<Index> indices;  // ascending
  Matrix<double> keys;         // their rows, times 2^-factor.scales.exponents
  // p != 2: leverage scores of `indices`, upper ends (1 + delta included), and
  // a number that no key outside `indices` reaches with its leverage score.
  // U_2 of N8 is the part of `indices` at or above it.
  std::vector<double> leverage;
  double leverage_epsilon = 0.0;
};

}  // namespace steelyard
