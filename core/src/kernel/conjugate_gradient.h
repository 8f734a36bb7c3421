// Preconditioned conjugate gradients on the symmetric form S z = c of a kernel:
// with S scaled to unit diagonal and no preconditioner this is the
// Jacobi-preconditioned method.
//
// METHOD  In cycles. Every cycle starts from the residual that is recomputed in
//   float64 from A and runs on the recurrence until that is as small as the
//   errors of its tiles have made it doubtful, or is below the goal; directions
//   go on over cycles. While 4 u_32 s|a - c|^2 <= 1e-2 cycles use float32
//   tiles, until one fails to halve the true residual; then float64. The last
//   residual carries the certificate.
//   Up to 16 right-hand sides search together (block_recurrence.h); one that
//   stalls in company goes on alone. The bits of a solution depend on its
//   neighbours, not on the number of workers.
//
// SOURCE  NUMERICS N3. Hestenes, Stiefel 1952. Residual replacement: van der
//   Vorst, Ye, SIAM J. Sci. Comput. 2000.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "kernel/scaled_system.h"
#include "preconditioner/preconditioner.h"
#include "steelyard/compute_context.h"
#include "steelyard/matrix.h"

namespace steelyard {

struct ConjugateGradientOptions {
  double tolerance = 1e-8;  // on |b - M x| / |b|
  int max_iterations = 1000;
  const Preconditioner* preconditioner = nullptr;  // null: none
  // From the fifth step on: the product may keep its tiles.
  bool keep_tiles = false;
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
  // Extreme Ritz values of S, or of N^-1 S with a preconditioner N; both 0
  // before a step was done.
  double ritz_least = 0.0;
  double ritz_largest = 0.0;
};

// Progress: the iteration of these columns and the worst of their residuals.
void ReportStep(const ConjugateGradientResult& result,
                const std::vector<Index>& columns,
                const ComputeContext& context);

// Right-hand sides that search together.
inline constexpr Index kTogetherMax = 16;

// COST    n^2 (d + 2k) flops an iteration; memory 14 n k words, k <= 16 of them
//         at a time but for 4.
// ERRORS  Cancelled, DeadlineExceeded: the stop token.
absl::StatusOr<ConjugateGradientResult> SolveConjugateGradient(
    ScaledSystem& system, const Matrix<double>& c,
    const ConjugateGradientOptions& options, const ComputeContext& context);

}  // namespace steelyard
