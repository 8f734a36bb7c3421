// Bounds of leverage scores by the length of a key alone.
//
//     tau_j = ||k_j' S||^2 <= ||S||_2^2 ||k_j||^2,   S = R^-1.
//
// METHOD  mu >= ||S||_2^2 = lambda_max(S S'): power iteration guesses mu from
//   below, a Cholesky factorisation of mu I - S S' that goes through proves it
//   (else mu grows by a tenth). Within 16 % of the truth where the guess is
//   within 5 %, in about d^3 flops.
//
// SOURCE  NUMERICS N4, fast mode. S. M. Rump, Verification of positive
//   definiteness, BIT 46 (2006): Cholesky of A that goes through proves A +
//   gamma_(d+1) / (1 - gamma_(d+1)) trace(A) I to be positive semi-definite.
#pragma once

#include "factor/factor.h"
#include "factor/row_loader.h"
#include "linalg/block.h"
#include "steelyard/matrix.h"

namespace steelyard {

// Somewhat below ||A||_2^2 of an upper triangle, by power iteration.
// COST  32 m^2 flops.
double LargestSquareEstimate(Block<const double> upper);

// An upper bound of ||A||_2^2, rounding included, m <= 512. Infinite where A
// holds what is not finite, or where products of its entries may not be.
double LargestSquareBound(Block<const double> upper);

// B with ||k_j' S|| = ||l_j' B|| for the true l_j = (factors[c] k_jc)_c whose
// length `lengths` measures: `inverse` is R^-1 of the keys whose columns are
// scaled by 2^-e. Upper triangular.
Matrix<double> InverseForLengths(const Matrix<double>& inverse,
                                 const ColumnScales& scales,
                                 const RowLengths& lengths);

}  // namespace steelyard
