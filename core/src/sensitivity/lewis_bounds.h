// Upper bounds of all sensitivities for |x|^p from one weighted Gram.
//
//     M = X' diag(w^(1-2/p)) X,  a_j = x_j' M^-1 x_j,  any w > 0:
//     p >= 2   sigma_j <= a_j^(p/2) (sum w)^(p/2-1)
//     p <= 2   sigma_j <= C a_j^(p/2),  C = max_i w_i^(1-2/p) a_i^(1-p/2)
//
// METHOD  Hoelder. w goes towards the Lewis weights, where the bounds sum to at
//   most d^max(1,p/2): p <= 2: w <- a^(p/2), p > 2: w <- w^(1-2/p) a, in
//   logarithms; each round's bounds are proved alone, and the least of all
//   rounds counts. Stops when a round gains little. Zero rows have no weight.
//
// SOURCE  NUMERICS N7. Cohen, Peng, Lp row sampling by Lewis weights, STOC
// 2015.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "sensitivity/certificate.h"
#include "sensitivity/whitened_keys.h"
#include "steelyard/compute_context.h"

namespace steelyard {

struct LewisBounds {
  // Upper bounds for the exact keys, rounding included; at most 1, 0 for rows
  // of zeros.
  std::vector<double> upper;
  // w^(1-2/p) up to a factor, of the round with the least sum, and the R with
  // R'R = M: where refinements start.
  std::vector<double> weights;
  Matrix<double> r;
  int rounds = 0;
};

// SHAPES   keys: n x r, certifiable; p in [1, 64].
// COST     2 n r^2 flops a round, at most kLewisRounds of them; 4 n words.
// ERRORS   Cancelled, DeadlineExceeded, Aborted.
inline constexpr int kLewisRounds = 24;
absl::StatusOr<LewisBounds> ComputeLewisBounds(
    const WhitenedKeys& keys, const PowerCertificate& certificate,
    const ComputeContext& context);

}  // namespace steelyard
