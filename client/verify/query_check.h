// Universal sets of which no exact reference is at hand - |x|^p, sums, causal,
// ridge - held against queries, one by one.
#pragma once

#include "client/verify/leverage.h"
#include "client/verify/rows.h"
#include "client/verify/universal_set_check.h"
#include "steelyard/client/universal_set.h"

namespace steelyard::verify {

// For normal random queries and for those that attain the scores of p = 2 -
// causal: over the keys up to their own - scores all keys:
//
//   no key outside scores above effective_epsilon;
//   no member above its reported sensitivity (1 + delta);
//   |U| <= bound; the lists are well formed.
//
// Causal: query i sees keys 0..i, so its score of key j holds against j's score
// on arrival. Ridge: of the queries with |K q|^2 >= ratio lambda |q|^2 only.
// Softmax is not checked: it has no sensitivities.
//
// COST  2 n d flops a query; as many queries as `flops_max` allows, at least 1.
UniversalSetCheck CheckByQueries(const Rows& keys,
                                 const LeverageReference& reference,
                                 const client::UniversalSetOptions& asked,
                                 const client::UniversalSet& set,
                                 double flops_max = 5e9);

}  // namespace steelyard::verify
