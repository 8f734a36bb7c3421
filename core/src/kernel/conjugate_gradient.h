// Conjugate gradients on the symmetric form S z = c of a kernel: with S scaled
// to unit diagonal this is the Jacobi-preconditioned method.
//
// METHOD  In cycles. Every cycle starts from the residual that is recomputed in
//   float64 from A, runs on the recurrence, and ends when the recurrence has
//   fallen far enough to be checked. While 4 u_32 s|a - c|^2 <= 1e-2 cycles use
//   float32 tiles, until one fails to halve the true residual; then float64.
//   Right-hand sides go side by side, sharing the tiles.
//
// SOURCE  NUMERICS N3. Hestenes, Stiefel 1952. Residual replacement: van der
//   Vorst, Ye, SIAM J. Sci. Comput. 2000.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "kernel/scaled_system.h"
#include "steelyard/compute_context.h"
#include "steelyard/matrix.h"

namespace steelyard {

struct ConjugateGradientOptions {
  double tolerance = 1e-8;  // on |b - M x| / |b|
  int max_iterations = 1000;
};

enum class IterationEnd {
  kConverged,
  kIterationLimit,
  kStalled,   // a cycle in float64 did not halve the true residual
  kSingular,  // p'Sp <= n u p'p: S has no digit of an eigenvalue
  kStopped,   // time limit or drain
};

struct ConjugateGradientResult {
  Matrix<double> z;                // k x n
  std::vector<IterationEnd> ends;  // k
  std::vector<int> iterations;     // k
  // Of the last residual that was recomputed; for kStopped with the estimate of
  // the recurrence in its relative_residual.
  std::vector<Certificate> certificates;
  Matrix<double> residual;  // k x n, that of the certificates
  Matrix<double> error;
  bool used_float32 = false;
  // Extreme Ritz values of S; both 0 before a step was done.
  double ritz_least = 0.0;
  double ritz_largest = 0.0;
};

// COST    n^2 (d + 2k) flops an iteration; memory 10 n k words.
// ERRORS  Cancelled, DeadlineExceeded: the stop token.
absl::StatusOr<ConjugateGradientResult> SolveConjugateGradient(
    ScaledSystem& system, const Matrix<double>& c,
    const ConjugateGradientOptions& options, const ComputeContext& context);

}  // namespace steelyard
