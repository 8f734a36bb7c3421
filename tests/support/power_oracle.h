// Sensitivities for |x|^p by a convex solver of its own in long double, for
// small problems, and attention scores by brute force.
//
// SOURCE  NUMERICS N7, N9.
#pragma once

#include <vector>

#include "steelyard/matrix.h"
#include "steelyard/score_function.h"

namespace steelyard::test {

// The query that gives key j its largest score, and that score, for keys of
// full column rank. p = 1: a best vertex (d - 1 products are 0) among all
// vertices, so keep C(n, d - 1) small. p > 1: golden sections, one inside the
// other, so keep 46^(d - 1) n small. Right to about 1e-9, from below.
struct PowerOptimum {
  long double sensitivity = 0.0L;
  std::vector<long double> query;
};
PowerOptimum BestQuery(const Matrix<long double>& keys, Index j, double p);

// f(<q, k_j>) / sum_l f(<q, k_l>) for all j; zeros where the sum is 0. Power
// and PowerSum.
std::vector<long double> PowerScores(const std::vector<long double>& query,
                                     const Matrix<long double>& keys,
                                     const ScoreFunction& function);

}  // namespace steelyard::test
