// What Solve and StreamSolve have in common: the work itself.
#pragma once

#include "absl/status/statusor.h"
#include "server/convert/regression.h"
#include "steelyard/compute_context.h"
#include "steelyard/solution.h"

namespace steelyard::server {

// The request message of `problem` must outlive the call.
absl::StatusOr<Solution> SolveRegression(const SolveProblem& problem,
                                         const ComputeContext& context);

// "CONVERGED", for logs.
const char* NameOf(Termination termination);

}  // namespace steelyard::server
