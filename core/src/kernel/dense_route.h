// A kernel regression by Cholesky of its symmetric form.
//
// METHOD  Scales within e^30: float64, refined with residuals recomputed from
// A.
//   Beyond: NONE in (mantissa, exponent) pairs, refined with the true logits;
//   SOFTMAX_ROWS by GMRES on P + l I with the same factor as preconditioner
//   (the factor alone loses one-sided couplings P_ij ~ 1 of S_ij below 1e-308,
//   which are few steps of an iteration). forward_error: |M^-1 r| + |M^-1 e|
//   over |x|, e the bound of the rounding errors of r with random signs: an
//   estimate; with a ridge the smaller of it and (|r| + |e|) / l.
//
// ERRORS  Cancelled, DeadlineExceeded: the stop token.
#pragma once

#include "absl/status/statusor.h"
#include "kernel/kernel_problem.h"

namespace steelyard {

// problem.factor->dense is there.
absl::StatusOr<RouteAnswer> SolveDense(const KernelProblem& problem,
                                       const ComputeContext& context);

}  // namespace steelyard
