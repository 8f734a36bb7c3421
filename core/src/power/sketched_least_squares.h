// (A'A)^-1 w without an R of A: conjugate gradients on A R0^-1, which is well
// conditioned whatever A is, R0 of a QR of a sketch of A.
//
//     G z = w,   G = A_s'A_s (+ ridge),   C = R0^-T G R0^-1
//
//   A sketch that keeps lengths to 1 -+ eta puts the eigenvalues of C into
//   [(1 + eta)^-2, (1 - eta)^-2]: the error falls by eta a step, a step is one
//   read of A, multiplied from both sides while its rows are in cache.
//
// OUTER LOOP  [EMN24]. One run of steps from zero is not backward stable:
//   A'b is rounded at u ||A|| ||b||, which A^-1 magnifies to u kappa ||b||
//   where u kappa ||b - A z|| would be right. So a run only gains
//   28 bits, and whoever calls it (levels.h) computes b - A z anew, from
//   A itself, and adds the next run's answer, until ||A delta|| has come down
//   to u ||A|| ||z||. What the first run from zero cannot do, the second
//   corrects. [EMN24] starts from sketch-and-solve instead, which needs the
//   sketch of A to be kept and that of every b. Measured on 3000 x 40, kappa
//   1e4 to 1e12, five matrices each, same outer loop, steps of all runs:
//     |b - A x*| / |b|   from zero    from sketch-and-solve
//     1e-8               28 to 30     13 to 10
//     1e-3               28 to 19     21 to 13
//     0.7                24 to 13     23 to 13
//   The errors of x agree but where b is nearly in the range of A and kappa is
//   1e10 and more: there they are 5 to 10 times smaller from zero.
//
// It stands where levels and certificates want a solver of A'A. A may be dense
// or sparse.
//
// SOURCE  [EMN24] Epperly, Meier, Nakatsukasa, Fast randomized least-squares
//   solvers can be just as accurate and stable as classical direct solvers,
//   arXiv 2406.03468. NUMERICS N1 (ladder, 3).
#pragma once

#include <vector>

#include "power/gram_solver.h"
#include "power/residual_pass.h"

namespace steelyard {

class SketchedSolver final : public GramSolver {
 public:
  // All of these outlive the solver. `ridge_diagonal` is added to A_s'A_s;
  // empty: 0. `sketched.r` is R0, of full rank, `distortion` its eta.
  SketchedSolver(const ScaledMatrix& a,
                 const std::vector<double>& ridge_diagonal,
                 const Factor& sketched, double distortion);

  double distortion() const override { return distortion_; }

  bool reads_matrix() const override { return true; }

  // |R0^-T (w - G z)| falls as far as rounding of w lets a run go, u kappa, but
  // 2^-28 at the most, column by column.
  absl::Status Solve(Matrix<double>& block,
                     const ComputeContext& context) const override;
  // Falls by 2^-28, or to u sizes / 4: the error of A z that is backward
  // stable.
  absl::Status Correct(const std::vector<double>& sizes, Matrix<double>& block,
                       const ComputeContext& context) const override;
  // To some 1 %: certificates.
  absl::Status Estimate(Matrix<double>& block,
                        const ComputeContext& context) const override;
  double rounding() const override;
  // |R0 z|.
  std::vector<double> Lengths(const Matrix<double>& block) const override;
  absl::Status MultiplyRoot(Matrix<double>& block,
                            const ComputeContext& context) const override;
  absl::Status MultiplyGram(Matrix<double>& block,
                            const ComputeContext& context) const override;

 private:
  // `floors`: of |R0^-T (w - G z)|, a column each.
  absl::Status Run(double reduction, const std::vector<double>& floors,
                   Matrix<double>& block, const ComputeContext& context) const;

  const ScaledMatrix& a_;
  const std::vector<double>& ridge_diagonal_;
  const Matrix<double>& r_;
  double distortion_;
  double reduction_;  // of Solve
};

}  // namespace steelyard
