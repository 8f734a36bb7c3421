// G z = w by steps of one length, preconditioned by the R of a sketch of A.
//
//     z += tau R^-1 g,   g = R^-T (w - G z),   G = A_s'A_s (+ ridge)
//
//   Where the sketch keeps lengths to 1 -+ eta, the eigenvalues of R^-T G R^-1
//   lie in [(1 + eta)^-2, (1 - eta)^-2], whatever kappa is. The best step for
//   these is tau = (1 - eta^2)^2 / (1 + eta^2), and g falls by 2 eta /
//   (1 + eta^2) a step; eta = sqrt(d / s) for s rows.
//
// It stands where levels and certificates want a solver of A'A, so that these
// need no R of A itself: MultiplyGram is a pass over A, Solve are steps until
// the error is 1 % of what it gives.
//
// SOURCE  [SYZ24] sections 4 and 5: gradient descent on ||A R^-1 z - b||. The
//   step there is 1, for eta near 0; the best step is that of Chebyshev's
//   one-point rule (Saad, Iterative Methods, 4.2).
#pragma once

#include <optional>
#include <vector>

#include "power/gram_solver.h"
#include "power/residual_pass.h"

namespace steelyard {

// What a run of steps is told, and what it says, a column each.
struct StepGoals {
  // |g| falls to this part of |R^-T w|, or no further.
  std::vector<double> reduction;
  int steps_max = 1000;
};
struct StepOutcome {
  std::vector<int> steps;
  // steps_max was met first.
  std::vector<bool> limited;
  // |g| stayed above its goal: at the floor of the format, or the sketch was
  // no embedding.
  std::vector<bool> stalled;
};

class FixedStepSolver final : public GramSolver {
 public:
  // All of these outlive the solver. `ridge_diagonal` is added to A_s'A_s;
  // empty: 0. `sketched.r` is R.
  FixedStepSolver(const ScaledMatrix& a,
                  const std::vector<double>& ridge_diagonal,
                  const Factor& sketched, double distortion);

  double step() const { return step_; }
  double distortion() const override { return distortion_; }

  // Steps from the `z` given. `b`: w is A_s'b and its residual is
  // A_s'(b - A_s z); `w` is needed all the same.
  // ERRORS  Cancelled, DeadlineExceeded, Aborted: the stop token.
  absl::StatusOr<StepOutcome> Run(const Matrix<double>& w,
                                  const std::optional<ColumnSlice>& b,
                                  const StepGoals& goals, Matrix<double>& z,
                                  const ComputeContext& context) const;

  absl::Status Solve(Matrix<double>& block,
                     const ComputeContext& context) const override;
  absl::Status MultiplyRoot(Matrix<double>& block,
                            const ComputeContext& context) const override;
  absl::Status MultiplyGram(Matrix<double>& block,
                            const ComputeContext& context) const override;

 private:
  // w - G z.
  absl::StatusOr<Matrix<double>> Residual(const Matrix<double>& w,
                                          const std::optional<ColumnSlice>& b,
                                          const Matrix<double>& z,
                                          const ComputeContext& context) const;

  const ScaledMatrix& a_;
  const std::vector<double>& ridge_diagonal_;
  const Matrix<double>& r_;
  double distortion_;
  double step_;
};

}  // namespace steelyard
