// Heavy scores for f = sum c_i |x|^{p_i} from a set whose keys are gone.
//
//   Z is a sum over the stored keys S, exact, and the rest, m = n - |S| keys of
//   which R tells the squares: T = ||R q||^2 - sum_S t^2, none above g:
//     p >= 2:  T^{p/2} m^{1-p/2} <= rest <= g^{p/2-1} T
//     p <= 2:  g^{p/2-1} T <= rest <= T^{p/2} m^{1-p/2}
//   (power means; Hoelder). g = min(leverage_epsilon Z_2, T). Scores are
//   intervals [lower, upper], points where Z is known.
//
// SOURCE  NUMERICS N8.
#pragma once

#include <vector>

#include "queries/fourth_moments.h"
#include "queries/query_block.h"
#include "queries/queryable_set_data.h"
#include "queries/score_terms.h"

namespace steelyard {

// The keys of one query that are not stored.
struct Rest {
  Index keys = 0;        // m
  Interval squares;      // T
  double largest = 0.0;  // g
};

// What R and the stored keys' sums say about the rest. z: ||R q||^2, within
// 1 + delta; rounding: of a product, over the key's norm.
Rest RestOf(const QueryableSetData& set, const std::vector<PowerTerm>& terms,
            const PowerSums& sums, double z, double delta, double rounding);

// sum |t|^p over the rest, t times 2^-shift.
Interval RestOfPowers(const Rest& rest, double p, int shift);

// Z of one query, times 2^-function.exponent().
struct NormalizerInterval {
  double value = 0.0;  // where exact
  Interval interval;
  bool exact = false;  // to the certified error of R or of the moments
};

// `sums` of the stored keys; `fourth`: where the set has moments.
NormalizerInterval NormalizerOf(const Rest& rest, const PowerSums& sums,
                                const ScaledFunction& function,
                                const FourthPowers* fourth, double rounding,
                                double delta);

// Numbers of scratch that ScoreByInterval needs.
Index IntervalScratch(Index d);

// Rows of the block of queries that starts at `first`, into rows[first], ...
// COST  2 d (d + 2 |S|) flops a query.
void ScoreByInterval(const QueryableSetData& set, const AnyMatrixView& queries,
                     Index first, double epsilon, const StopToken& stop,
                     double* work, HeavyRow* rows);

}  // namespace steelyard
