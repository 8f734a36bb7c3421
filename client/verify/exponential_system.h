// e^(A'A) x = b, recomputed.
//
// METHOD  e^(A'A) x without an SVD: m = ceil(sigma_1^2) steps of the Taylor
//   series of e^(A'A / m), all terms of one sign of the operator, in 80-bit
//   arithmetic. LAPACK beside it: V e^(-S^2) V'b by dgesvd.
//
// SOURCE  NUMERICS N2.
#pragma once

#include <Eigen/Core>

#include "client/verify/rows.h"
#include "client/verify/solve_figures.h"
#include "client/verify/wide_vector.h"

namespace steelyard::verify {

class ExponentialSystem {
 public:
  explicit ExponentialSystem(RowMatrix a);

  SolveFigures Examine(const WideVector& b, const ScaledVector& x) const;

 private:
  ScaledVector Apply(ScaledVector v) const;
  ScaledVector Solve(const ScaledVector& c) const;

  RowMatrix a_;
  Eigen::VectorXd values_;
  Eigen::MatrixXd vectors_;
  int steps_ = 1;
  bool affordable_ = false;
};

}  // namespace steelyard::verify
