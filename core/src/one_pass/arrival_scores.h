// Scores of keys on arrival: key j against keys 0..j, exactly.
//
//     a_j = x_j / (1 + x_j),   x_j = k_j' (K_<'K_<)^-1 k_j,   K_<: keys before
//     j.
//
// METHOD  For a block B after keys with factor R: W = B R^-1, L L' = I + W W';
//   1 + x_j = L_jj^2, so a_j = 1 - 1 / L_jj^2. Taken so, small scores cancel;
//   x_j = ||w_j||^2 - sum_(i<j) L_ji^2 does not while ||W||_F <= 1, because
//   then x_j >= ||w_j||^2 / 2. A longer W is halved, down to one key, whose
//   x = ||w||^2. Rank r < d: W = B V_r S_r^-1; a key that leaves the row space
//   by the rank rule of N4 has a_j = 1.
//   Error of x_j, relative: f of R; 4 g of W; 6 c (c + d + 2) u of the Cholesky
//   factor of c rows: backward errors gamma_(c + d + 2) of entries at most 2,
//   met by v = (I + W_<W_<')^-1 W_< w_j with ||v|| <= ||w_j||, over x_j.
//
// SOURCE  NUMERICS N5.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "one_pass/running_factor.h"
#include "steelyard/universal_set.h"

namespace steelyard {

struct ArrivalScores {
  std::vector<double> scores;  // in [0, 1]
  // Relative errors. Infinite: nothing is known, or (score 1) the rank rule
  // alone says that the key is heavy.
  std::vector<double> errors;
  // EpsilonOfMembers(R of the keys before, 1): for queries, a key counts when
  // its score reaches epsilon times this.
  std::vector<double> shares;
  // Sum of all scores, and of their upper ends.
  double total = 0.0;
  double bound = 0.0;
};

// Rows that are scored together at most.
Index ArrivalBlockRows(Index d);

// Scores `keys`, folds them into `factor` and appends to `arrivals`.
// COST    3 c d^2 flops for c keys, one block after another.
// ERRORS  as RunningFactor::Fold.
absl::Status ScoreOnArrival(const AnyMatrixView& keys, Index row_offset,
                            const ComputeContext& context,
                            RunningFactor& factor, ArrivalScores& arrivals);

// min(1, score (1 + error)); 0 stays 0.
double UpperEndOfArrival(double score, double error);

// Members, undecided ones and errors of `set` from the scores of keys, by
// position; size_bound and total_sensitivity from the sums.
void SelectArrivals(const ArrivalScores& arrivals,
                    const UniversalSetOptions& options, UniversalSet* set);

}  // namespace steelyard
