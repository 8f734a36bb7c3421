// Attention scores by brute force in long double: every score of every query,
// and the query that gives a key its largest score.
//
// SOURCE  NUMERICS N4, N9.
#pragma once

#include <vector>

#include "steelyard/matrix.h"

namespace steelyard::test {

// score(i, j) = <q_i, k_j>^2 / sum_l <q_i, k_l>^2; a row of zeros where the sum
// is 0. COST m n d long double flops.
Matrix<long double> BruteForceScores(const Matrix<long double>& queries,
                                     const Matrix<long double>& keys);

// Row j is (K'K)^+ k_j, which gives key j exactly its sensitivity: column j of
// (Q^+)' by the pivoted QR of K of the given rank (0: full).
Matrix<long double> AttainingQueries(const AnyMatrixView& keys, Index rank = 0);

}  // namespace steelyard::test
