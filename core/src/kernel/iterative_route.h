// A kernel regression without the kernel in memory.
//
// METHOD  Scales within e^30: conjugate gradients on the symmetric form.
// Beyond:
//   SOFTMAX_ROWS by GMRES with the diagonal; NONE by conjugate gradients whose
//   answer is judged by the true logits: CONVERGED where that residual is small
//   enough, PRECISION_FLOOR otherwise.
//   forward_error: an estimate, (|r| + |e|) over the least Ritz value of S;
//   with a ridge the smaller of it and the bound (|r| + |e|) / l.
//
// ERRORS  Cancelled, DeadlineExceeded: the stop token.
#pragma once

#include "absl/status/statusor.h"
#include "kernel/kernel_problem.h"

namespace steelyard {

absl::StatusOr<RouteAnswer> SolveIterative(const KernelProblem& problem,
                                           const ComputeContext& context);

}  // namespace steelyard
