// (P + l I) x = b for softmax rows whose log-sum-exps lie more than 60 apart:
// GMRES, with the diagonal of P + l I or a factor of its symmetric form as
// preconditioner. The diagonal is for forms that are degenerate: bands of like
// scale (band_route.h) take fewer steps, but need S.
//
// forward_error: |N^-1 r| + |N^-1 e| over |x| with a factor N, an estimate; 1
// (no digit certified) with the diagonal.
//
// ERRORS  Cancelled, DeadlineExceeded: the stop token.
#pragma once

#include "absl/status/statusor.h"
#include "kernel/dense_solver.h"
#include "kernel/kernel_problem.h"

namespace steelyard {

// `factor` null: the diagonal.
absl::StatusOr<RouteAnswer> SolveSoftmax(const KernelProblem& problem,
                                         const DenseFactor* factor,
                                         const ComputeContext& context);

}  // namespace steelyard
