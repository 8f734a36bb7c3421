// Extreme eigenvalues of a symmetric matrix as conjugate gradients have seen
// them.
//
//     T_jj = 1/alpha_j + beta_{j-1}/alpha_{j-1},  T_{j,j+1} =
//     sqrt(beta_j)/alpha_j
//
//   The least is at least the least eigenvalue: 1/least is an estimate of the
//   norm of the inverse, from below.
//
// METHOD  Bisection with Sturm counts.
// SOURCE  Golub, Van Loan, Matrix Computations, 10.2.
#pragma once

#include <vector>

namespace steelyard {

struct LanczosCoefficients {
  std::vector<double> alpha;  // step lengths, > 0
  std::vector<double> beta;   // r'r of the next step over that of this one
};

struct RitzValues {
  double least = 0.0;
  double largest = 0.0;
};

// COST  O(steps). Zeros when there was no step.
RitzValues FindRitzValues(const LanczosCoefficients& coefficients);

}  // namespace steelyard
