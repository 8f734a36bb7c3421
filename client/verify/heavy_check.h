// Are these all the scores >= epsilon, and are they right?
#pragma once

#include <cstdint>

#include "absl/types/span.h"
#include "client/verify/leverage.h"
#include "client/verify/rows.h"
#include "client/verify/verdict.h"
#include "steelyard/client/heavy_scores.h"

namespace steelyard::verify {

// Every score of every query, one by one.
struct HeavyCheck {
  Verdict verdict;
  int64_t queries = 0;
  int64_t returned = 0;  // Scores in the answer.
  int64_t expected = 0;  // Scores >= epsilon by brute force.
  // Of those, on which side of epsilon rounding hides; and returned or not.
  int64_t undecided = 0;
  // Largest |reported - recomputed| / recomputed.
  double largest_score_error = 0.0;
};

// Holds the rows of one query head against all n scores of each of its queries:
//
//   every key of score >= epsilon is returned, no key below is, outside the
//     band |<q,k>| + (d+2) u |q||k|, Z (1 +- z);
//   every returned score, normaliser and captured mass is the brute-force one;
//   `undefined` stands where Z is 0 up to rounding, and nowhere else.
//
// z bounds the error of a normaliser that comes from a Gram matrix which N4
// accepts: min(1e-3, (n + d + 4) u ||K||_F^2 ||W||_F^2).
//
// COST  2 n d flops a query.
HeavyCheck CheckHeavyRows(const Rows& keys, const LeverageReference& reference,
                          const Rows& queries, double epsilon,
                          absl::Span<const client::HeavyRow> rows);

}  // namespace steelyard::verify
