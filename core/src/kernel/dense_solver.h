// Cholesky of the symmetric form S of a kernel with n^2 numbers stored.
//
// METHOD  R'R = S in tiles. Vectors of any range: R^-1 R^-T is linear, so the
//   right-hand side is cut into bands of 512 binary exponents, every band is
//   solved in float64 by itself, and the answers are added as pairs. What
//   underflows inside a band, and entries of S below 1e-308, are found by the
//   residual of the true logits in the next refinement step.
//
// SOURCE  NUMERICS N3.
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernel/kernel_product.h"
#include "kernel/logits.h"
#include "kernel/scaled_vector.h"
#include "kernel/symmetric_form.h"
#include "steelyard/compute_context.h"
#include "steelyard/matrix.h"

namespace steelyard {

// Pivots of G (unit diagonal) up to this are rounding errors: n u of the
// factorisation, 8 u q_i of the logits; 1 % at most, so that one huge row,
// whose entries are exactly 0, is none.
double PivotFloor(const KernelRows& rows, Index i);

class DenseFactor {
 public:
  // COST    n^3 / 3 + n^2 d flops; 8 n^2 bytes.
  // ERRORS  Cancelled, DeadlineExceeded, Aborted: the stop token.
  static absl::StatusOr<DenseFactor> Make(const KernelRows& rows,
                                          const SymmetricForm& form,
                                          const KernelProduct& product,
                                          const ComputeContext& context);

  // False: a pivot at or below its floor. Nothing can be solved then.
  bool positive_definite() const { return positive_definite_; }

  // v := S^-1 V, k x n.
  absl::Status Solve(Matrix<double>& v, const ComputeContext& context) const;

  // v := S^-1 v, any range.
  absl::Status SolveScaled(ScaledVector& v,
                           const ComputeContext& context) const;

  // Largest eigenvalue of S^-1, from below (power iteration).
  absl::StatusOr<double> InverseNorm(const ComputeContext& context) const;

 private:
  Matrix<double> r_;
  bool positive_definite_ = false;
};

}  // namespace steelyard
