// Of what matrix close to A a vector z is the least-squares solution.
//
//     eta = min { |E|_F / |A|_F : z = argmin |(A + E) z - b| } <= 1
//
// METHOD  With r = b - A z, nu = |r| / |z| and
//     kw = |(A'A + nu^2 I)^-1/2 A'r| / (|z| |A|_F):   kw <= eta <= sqrt(2) kw,
//   and sqrt(2) kw is what is told, times what R has in error. With
//   R'R = A'A and T'T = R'R + nu^2 I the vector is as long as T^-T A'r. T by
//   Cholesky where nu^2 is far above the rounding of R'R, else by Householder
//   QR of [R; nu I]; for nu rounded down to a power of 2^(1/8): right-hand
//   sides of like nu share a T, and eta is told 9 % too large at most. (One SVD
//   of R would do for all nu, but takes 10 to 50 times a T, in one call that no
//   stop token ends.)
//
// SOURCE  NUMERICS N1. Karlson, Walden, BIT 37 (1997), 862; the constants are
//   those of Gratton, Jiranek, Titley-Peloquin, SIAM J. Matrix Anal. Appl. 33
//   (2012), 822.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "factor/factor.h"
#include "steelyard/compute_context.h"
#include "steelyard/cost.h"

namespace steelyard {

// A least-squares solution a column, all in one unit each.
struct LeastSquaresResidual {
  const Matrix<double>& gradient;      // A'r, d x k
  const std::vector<double>& r_norms;  // |r|
  const std::vector<double>& z_norms;  // |z|
};

// `factor` must outlive it: R with R'R = A'A, a ridge l in it where
// [A; sqrt(l) I] stands for A.
// `distortion`: R is that of a sketch that keeps lengths to 1 -+ this (then the
// bounds hold as often as that does); 0: of A.
class LeastSquaresErrors {
 public:
  LeastSquaresErrors(const Factor& factor, double distortion)
      : factor_(factor), distortion_(distortion) {}

  // An upper bound on eta of every column, at most 1; 0 for gradients of zero.
  // Columns never meet. Keeps the last T's.
  // COST    d^3 flops for every new nu (QR: 2 d^3), d^2 a column.
  // ERRORS  Cancelled, DeadlineExceeded, Aborted: the stop token.
  absl::StatusOr<std::vector<double>> Bounds(
      const LeastSquaresResidual& residual, const ComputeContext& context);

 private:
  // nu = 2^(step / 8) |R|_F.
  double ShiftOf(int step) const;
  absl::StatusOr<const Matrix<double>*> TriangleOf(
      int step, const ComputeContext& context);
  // A'A + nu^2 I is at least R'R + nu^2 I over the square of this.
  double ErrorOfFactor(double nu) const;

  absl::StatusOr<Matrix<double>> MakeTriangle(double nu,
                                              const ComputeContext& context);

  struct Kept {
    int step;
    Matrix<double> t;
  };

  const Factor& factor_;
  double distortion_;
  std::vector<Kept> kept_;  // the one used last is the last
};

// `flops`: a T for every 16 columns, as right-hand sides of one kind take.
Cost CostOfLeastSquaresErrors(Index d, Index k);

}  // namespace steelyard
