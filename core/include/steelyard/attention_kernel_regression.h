// Regression against the attention kernel K = exp(s A A'), entry by entry.
//
//     kNone           (K + l I) x = b
//     kUnitDiagonal   (G + l I) x = b,   G = D^-1 K D^-1, D = diag(e^{h_i}),
//                     h_i = s |a_i|^2 / 2,  G_ij = exp(-s |a_i - a_j|^2 / 2)
//     kSoftmaxRows    (P + l I) x = b,   P = diag(K 1)^-1 K
//
// METHOD  Never the raw exponential: the scaled G, from centred rows. Small n:
//   dense Cholesky for any spread of h. Above: a blocked matrix-free product and
//   Jacobi-preconditioned conjugate gradients. The residual that decides is
//   recomputed from A.
//
// SOURCE  NUMERICS N3; [SYZ24] arXiv 2308.14304.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "steelyard/compute_context.h"
#include "steelyard/cost.h"
#include "steelyard/matrix_view.h"
#include "steelyard/solution.h"

namespace steelyard {

enum class KernelNormalization { kNone, kUnitDiagonal, kSoftmaxRows };

enum class KernelMethod {
  kCholesky,           // dense, n^2 memory
  kConjugateGradient,  // matrix-free
};

struct AttentionKernelOptions {
  double scale = 1.0;  // s > 0, finite
  KernelNormalization normalization = KernelNormalization::kNone;
  // In the units of the matrix named by `normalization`. >= 0, finite.
  double ridge = 0.0;
  // Goal on |r| / |b|. In (0, 1).
  double tolerance = 1e-8;
  // Steps of the iteration. >= 1.
  int max_iterations = 1000;
  // Unset: by n and the spread of h.
  std::optional<KernelMethod> method;
};

// SHAPES   a: n x d. b, x: n x k.
// SCALARS  any storage types; float32 tiles only inside CG where N3 allows it.
// COST     n^3/3 + n^2 d flops dense, n^2 (d + 2k) an iteration matrix-free;
//          memory: CostOfAttentionKernelRegression.
// RANDOM   none.
// ERRORS   InvalidArgument: a NaN or infinity (field "a" or "b").
//          Cancelled, DeadlineExceeded: `context.stop`. A time limit or a
//          draining server is a Termination with the best x so far.
absl::StatusOr<Solution> SolveAttentionKernelRegression(
    const AnyMatrixView& a, const AnyMatrixView& b,
    const AttentionKernelOptions& options, const ComputeContext& context);

// For A n x d and k right-hand sides.
Cost CostOfAttentionKernelRegression(Index n, Index d, Index k,
                                     const AttentionKernelOptions& options,
                                     int workers);

}  // namespace steelyard
