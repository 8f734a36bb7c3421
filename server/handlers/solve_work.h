// What Solve and StreamSolve have in common: the work itself.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "server/convert/regression.h"
#include "steelyard/compute_context.h"
#include "steelyard/solution.h"

namespace steelyard::server {

// The request message of `problem` must outlive the call.
absl::StatusOr<Solution> SolveRegression(const SolveProblem& problem,
                                         const ComputeContext& context);

// The caller's seed, or a new one.
std::uint64_t SeedFor(const SolveProblem& problem);

// "CONVERGED", for logs.
const char* NameOf(Termination termination);

}  // namespace steelyard::server
