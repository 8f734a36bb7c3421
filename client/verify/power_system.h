// (A'A + l I)^j x = b and min ||A (A'A + l I)^j x - b||, recomputed.
//
// METHOD  Residuals in 80-bit arithmetic, a power of two carried apart. The
//   factor R of [A; sqrt(l) I] is LAPACK's (dgeqrf by row blocks), its singular
//   values dgesvd's; never a Gram matrix. Below full rank the pseudo-inverse
//   acts on the leading right singular vectors.
//
// SOURCE  NUMERICS N2.
#pragma once

#include <string>

#include <Eigen/Core>

#include "client/verify/rows.h"
#include "client/verify/solve_figures.h"
#include "client/verify/wide_vector.h"

namespace steelyard::verify {

struct PowerProblem {
  bool left = false;  // A (A'A)^j instead of (A'A)^j.
  int exponent = 1;   // j
  double ridge = 0.0;
};

class PowerSystem {
 public:
  PowerSystem(RowMatrix a, const PowerProblem& problem);

  int64_t rank() const { return rank_; }
  // sigma_1 / sigma_rank of A, columns scaled.
  double condition() const { return condition_; }

  // b has rows(M) entries.
  SolveFigures Examine(const WideVector& b, const ScaledVector& x) const;

 private:
  // (A'A + l I)^times v.
  ScaledVector ApplyGram(ScaledVector v, int times) const;
  // The pseudo-inverse of A'A + l I, in float64.
  ScaledVector SolveGram(const ScaledVector& c) const;
  ScaledVector SolveFactorTransposed(const ScaledVector& c) const;
  ScaledVector ProjectOnRows(const ScaledVector& v) const;
  // b - M x (even: of the projected b), and what the family is judged by.
  void Residuals(const WideVector& b, const ScaledVector& x,
                 SolveFigures* figures) const;
  double LogOperatorNorm() const;
  ScaledVector Lapack(const WideVector& b, std::string* method) const;
  ScaledVector LapackLeastSquares(const WideVector& b) const;
  ScaledVector Reference(const WideVector& b, double* error) const;
  ScaledVector Noise(const ScaledVector& y) const;

  RowMatrix a_;
  PowerProblem problem_;
  int64_t rank_ = 0;
  double condition_ = 1.0;
  double log_largest_ = 0.0;  // ln sigma_1 of [A; sqrt(l) I], not scaled.
  double log_largest_a_ = 0.0;
  // Full rank: R of the columns scaled by 2^-exponents_.
  Eigen::VectorXi exponents_;
  Eigen::MatrixXd factor_;
  // Below full rank: the rank leading singular vectors and values, of columns
  // all scaled by 2^-common_exponent_.
  int common_exponent_ = 0;
  Eigen::MatrixXd vectors_;
  Eigen::VectorXd values_;
};

}  // namespace steelyard::verify
