// (A'A)^-1 in scaled coordinates without an R of A: R0 of a sketch is the
// preconditioner of an iteration with A itself.
//
// METHOD  With H = R0^-T (A_s'A_s + ridge) R0^-1, whose condition number is
//   that of the sketch's distortion, H y = R0^-T w by conjugate gradients and
//   z = R0^-1 y. A column is left alone once its residual has fallen by 2^-34
//   or no longer does; callers refine with the true A, each of their steps with
//   a residual of its own (levels.h): this is the outer loop of [EMN24], for
//   every level. In float64 H is wrong by some u kappa, not u kappa^2, since
//   A R0^-1 is nearly orthonormal: levels are solved to kappa 1e14.
//
// SOURCE  NUMERICS N1 (3): "keep R0 and solve every level by preconditioned
//   iteration"; [EMN24] arXiv 2406.03468.
#pragma once

#include <vector>

#include "power/gram_solver.h"
#include "power/residual_pass.h"

namespace steelyard {

class IteratedGramSolver final : public GramSolver {
 public:
  // Of full rank. All three must outlive the solver; r0.scales are those of
  // `a`.
  IteratedGramSolver(const ScaledMatrix& a,
                     const std::vector<double>& ridge_diagonal,
                     const Factor& r0)
      : GramSolver(r0), a_(a), ridge_(ridge_diagonal), r0_(r0) {}

  bool reads_matrix() const override { return true; }

  // COST  some 35 passes over A, and as many solves with R0.
  absl::Status Solve(Matrix<double>& block,
                     const ComputeContext& context) const override;
  // A vector as long as A_s z and the ridge's: only its first entry is not 0.
  absl::Status MultiplyRoot(Matrix<double>& block,
                            const ComputeContext& context) const override;
  absl::Status MultiplyGram(Matrix<double>& block,
                            const ComputeContext& context) const override;

 private:
  const ScaledMatrix& a_;
  const std::vector<double>& ridge_;
  const Factor& r0_;
};

}  // namespace steelyard
