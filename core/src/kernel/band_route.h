// A kernel regression without the kernel in memory whose rows have scales more
// than e^30 apart: block Gauss-Seidel over bands of like scale, inside a
// refinement in (mantissa, exponent) pairs.
//
// METHOD  x += N^-1 (b - M x), N a sweep over the bands (band_sweeps.h), the
//   residual from the true logits. Residuals below an eighth of their own
//   rounding errors are taken for zero. While sweeps bring the other rows
//   nearer to that fast enough, more of them; then N is one band of all rows,
//   by conjugate gradients on S to its own norm: every such step takes some
//   e^25 off the residuals of all rows, which is fast where rows of unlike
//   scale are near each other. At last cycles of GMRES with the bands from the
//   right, on residuals in units of (M|x|)_i + |b_i|: what they make small is
//   the componentwise backward error, whatever the scale of a row. Ends when
//   the tolerance is met by |r| / |b| and by omega, when every residual is
//   rounding error, when a cycle of GMRES no longer helps, or after
//   max_iterations sweeps and steps of GMRES.
//   forward_error: |M^-1 r| + |M^-1 e| over |x|, signs of e random, solved for
//   until what is left in every row is a tenth of what was there: an estimate.
//   1 (no digit certified) where that is out of reach. With a ridge (not
//   SOFTMAX_ROWS) the smaller of it and the bound (|r| + |e|) / l.
//
// COST    a sweep and its residual: 3 n^2 (d + 3) flops, 1.5 n^2 exponentials,
//         and the bands; the estimate is like two more solves to one digit.
// ERRORS  Cancelled, DeadlineExceeded: the stop token.
// SOURCE  NUMERICS N3.
#pragma once

#include "absl/status/statusor.h"
#include "kernel/band_sweeps.h"
#include "kernel/kernel_problem.h"

namespace steelyard {

absl::StatusOr<RouteAnswer> SolveByBands(const KernelProblem& problem,
                                         const BandSweeps& sweeps,
                                         const ComputeContext& context);

}  // namespace steelyard
