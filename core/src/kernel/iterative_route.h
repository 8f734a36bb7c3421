// A kernel regression without the kernel in memory.
//
// METHOD  Scales within e^30: conjugate gradients on the symmetric form.
//   Beyond: bands of like scale (band_route.h); GMRES with the diagonal where a
//   diagonal entry of softmax rows is 0 in float64 (softmax_route.h).
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
