// What every regression returns: x and how far it can be trusted.
//
// What the mathematics decides (not converged, ill-conditioned, at the floor of
// the format, out of time) is a Termination, never an error.
//
// SOURCE  NUMERICS N2 and N3 define each quantity.
#pragma once

#include <string>
#include <vector>

#include "steelyard/kernel_preconditioner.h"
#include "steelyard/matrix.h"

namespace steelyard {

enum class Termination {
  kConverged,        // The residual of the family is <= tolerance.
  kIterationLimit,   // Best x so far.
  kTimeLimit,        // Best x so far.
  kPrecisionFloor,   // Above the tolerance, at the floor of the format.
  kIllConditioned,   // No digit of x is certified.
  kStopped,          // The server is draining; best x so far.
};

// One entry a right-hand side in every vector.
struct SolveReport {
  Termination termination = Termination::kIllConditioned;  // Of the worst one.
  std::string method;  // In words, with sizes.
  int iterations = 0;
  std::vector<double> relative_residual;  // |r| / |b|
  std::vector<double> excess_residual;    // odd family: |M (x - x*)| / |b|
  std::vector<double> residual_floor;     // phi
  std::vector<double> backward_error;     // |r| / (|M| |x| + |b|)
  std::vector<double> optimality;         // |M'r| / (|M|^2 |x| + |M| |b|)
  std::vector<double> forward_error;      // estimated |x - x*| / |x|
  std::vector<double> componentwise_error;  // omega of N3; kernel only
  // Least squares only (odd family, exponent 0), else empty: an upper bound on
  // the least |E|_F / |A|_F, columns of A scaled by powers of two to norms in
  // [1, 2), for which x is the solution of min |(A + E) x - b|. Ridge l: of
  // [A; sqrt(l) I]. It is sqrt(2) times the estimate of Karlson and Walden, at
  // most 1.6 times the least (a Gram of kappa near 1e7: 1.9 times). Where
  // `method` has R from a sketch and no more: with high probability, at most
  // 1.6 (1 + e) / (1 - e) times for e = sqrt(d / rows of the sketch).
  std::vector<double> least_squares_backward_error;
  std::vector<bool> converged;
  double condition_estimate = 0.0;
  Index rank = 0;
  double rank_gap = 0.0;  // sigma_(rank+1) / sigma_rank, 0 if full
  double log_smallest_ridge = 0.0;  // kernel, kIllConditioned only
  std::vector<PreconditionerTrial> trials;  // kernel, matrix-free only
};

struct Solution {
  Matrix<double> x;      // rows(x) x k
  Matrix<double> x_low;  // extended output: the answer is x + x_low; else empty
  // Empty, or one per entry of x: entry i is x[i] * 2^x_exponents[i].
  std::vector<int> x_exponents;
  SolveReport report;
};

}  // namespace steelyard
