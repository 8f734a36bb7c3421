// Regression against the attention kernel K = exp(s A A'), entry by entry.
//
//     kNone           (K + l I) x = b
//     kUnitDiagonal   (G + l I) x = b,   G = D^-1 K D^-1, D = diag(e^{h_i}),
//                     h_i = s |a_i|^2 / 2,  G_ij = exp(-s |a_i - a_j|^2 / 2)
//     kSoftmaxRows    (P + l I) x = b,   P = diag(K 1)^-1 K
//
// METHOD  Never the raw exponential: rows are centred, and both sides of the
//   matrix scaled by its own diagonal. Small n, and n <= 15000 where counted
//   flops (never the clock) say that the steps expected by probing are more
//   work: dense Cholesky for any spread of h (above 30 in mantissas and
//   exponents; kSoftmaxRows with log-sum-exps more than 60 apart: GMRES with
//   that factor). Else a blocked matrix-free product and preconditioned
//   conjugate gradients, up to 16 right-hand sides in one block Krylov space:
//   float32 tiles where N3 allows them, float64 recurrences, residuals replaced
//   in float64; from d = 48 on the tiles of n <= 17,000 rows are made once and
//   kept (2 n^2 bytes), with the same bits. kBlockCoordinate, never chosen on
//   its own: steps on random blocks of 8 sqrt(n) rows, an epoch of them a
//   direction of conjugate gradients: when it is faster says
//   kernel/block_coordinate.h. Matrix-free with scales of the rows more than
//   e^30 apart (kNone: h; kSoftmaxRows: log-sum-exps more than 60), whichever
//   of both is named: block Gauss-Seidel over bands of like scale, then
//   conjugate gradients on all rows or GMRES where sweeps are slow, in
//   mantissas and exponents (GMRES with the diagonal where a diagonal entry of
//   P is 0 in float64). The residual that decides is recomputed in float64 from
//   A.
//
// REPORT  relative_residual, residual_floor (phi = u |M|x|| / |b|),
//   componentwise_error (omega): N3. backward_error: |r| / (|M|x|| + |b|).
//   forward_error: an estimate, |M^-1 r| + |M^-1 e| over |x| with e the bound
//   on the rounding errors of r, signs random (matrix-free, preconditioner N:
//   |N^-1 r| + |N^-1 e| over the least Ritz value of N^-1 S; block coordinates:
//   1; bands of like scale: both solved for by the same iteration), or the
//   certified bound (|r| + |e|) / l where that is
//   smaller; at most 1, which says that no digit is certified.
//   kConverged        |r| / |b| + |e| / |b| <= tolerance: true in exact
//                     arithmetic
//   kPrecisionFloor   not so, but |r| / |b| <= 8 phi L and omega <= 8 u L, L =
//                     max(1, s|a_i||a_j|): x is as right as the rows define it
//   kIllConditioned   no pivot or step was left above rounding; x may be 0;
//                     log_smallest_ridge is ln of max_{i in F} M_ii (n u + 8 u
//                     s|a_i - c|^2), F the rows that pivoted Cholesky leaves
//                     (matrix-free: all rows, an upper estimate)
//   kTimeLimit, kStopped  x of the last step; its residual is that of the
//                     recurrence, for want of time to recompute it
//   b = 0: x = 0, kConverged, ratios 0.
//
// SOURCE  NUMERICS N3; [SYZ24] arXiv 2308.14304.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "steelyard/compute_context.h"
#include "steelyard/cost.h"
#include "steelyard/kernel_preconditioner.h"
#include "steelyard/matrix_view.h"
#include "steelyard/solution.h"

namespace steelyard {

enum class KernelNormalization { kNone, kUnitDiagonal, kSoftmaxRows };

enum class KernelMethod {
  kCholesky,           // dense, n^2 memory
  kConjugateGradient,  // matrix-free
  kBlockCoordinate,    // matrix-free, 8 sqrt(n) rows a step
};

struct AttentionKernelOptions {
  double scale = 1.0;  // s > 0, finite
  KernelNormalization normalization = KernelNormalization::kNone;
  // In the units of the matrix named by `normalization`. >= 0, finite.
  double ridge = 0.0;
  // n entries, >= 0, finite, each added to `ridge` in its own row; or empty.
  std::vector<double> row_ridge;
  // Goal on |r| / |b|. In (0, 1).
  double tolerance = 1e-8;
  // Steps of the iteration; with kBlockCoordinate epochs, each of all blocks.
  // >= 1.
  int max_iterations = 1000;
  // Unset: by n, the spread of h, and the work that probing expects.
  std::optional<KernelMethod> method;
  // Of the iteration. Unset: chosen by probing, told in the report. Not with
  // kCholesky.
  std::optional<KernelPreconditioner> preconditioner;
  // Columns of the factor of kRpCholesky or kPolynomialSketch, in [1, n].
  // Unset: grown while it pays.
  std::optional<Index> preconditioner_rank;
  // Of the random pivots, sketches, probes and blocks.
  std::uint64_t seed = 0;
};

// SHAPES   a: n x d. b, x: n x k.
// SCALARS  any storage types; float32 tiles only inside CG where N3 allows it.
// COST     n^3/3 + n^2 d flops dense, n^2 (d + 2k) an iteration matrix-free;
//          scales more than e^30 apart: some 3 n^2 d a step and right-hand side
//          in float64, and what bands cost.
//          Memory: CostOfAttentionKernelRegression.
// RANDOM   pivots, sketches, probes and blocks, by `seed`. The bits of a column
//          of x depend on the other columns of b where they search together.
// ERRORS   InvalidArgument NOT_FINITE: a NaN or infinity (field "a" or "b").
//          InvalidArgument FIELD_OUT_OF_RANGE (field "a"): logits that float64
//          cannot tell apart. kNone, kSoftmaxRows: a row of s|a|^2 > 1e9.
//          kUnitDiagonal: two rows of s|a - c|^2 > 1e9, c the median row, or
//          one of s|a|^2 > 1e300.
//          InvalidArgument FIELD_OUT_OF_RANGE (field "preconditioner"):
//          kPolynomialSketch is asked for, and a row has s|a - c|^2 > 30.
//          Cancelled, DeadlineExceeded: `context.stop`. A time limit or a
//          draining server is a Termination with the best x so far.
absl::StatusOr<Solution> SolveAttentionKernelRegression(
    const AnyMatrixView& a, const AnyMatrixView& b,
    const AttentionKernelOptions& options, const ComputeContext& context);

// For A n x d and k right-hand sides. The flops of an iteration are those of
// `max_iterations`, far above what most take: no reason to refuse a deadline.
Cost CostOfAttentionKernelRegression(Index n, Index d, Index k,
                                     const AttentionKernelOptions& options,
                                     int workers);

}  // namespace steelyard
