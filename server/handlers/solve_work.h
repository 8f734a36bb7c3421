// What Solve and StreamSolve have in common: admission and the work itself.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "server/admission/gate.h"
#include "server/convert/regression.h"
#include "server/convert/stored_input.h"
#include "server/factors/solve_groups.h"
#include "server/limits/limits.h"
#include "server/request/request_context.h"
#include "steelyard/compute_context.h"
#include "steelyard/solution.h"

namespace steelyard::server {

struct SolveParts {
  const Limits limits;
  const int workers;
  Gate& gate;
  // Empty: the server keeps no matrices.
  const MatrixLookup matrices = {};
  // Null: every solve computes its own factor.
  SolveGroups* const groups = nullptr;
};

// Admits the request, waits for its turn and its answer. Solves on stored
// matrices share their factors and their work (factors/solve_groups.h). `look`
// of the listener is called once before the waiting, too. `message` is that of
// `problem`.
absl::StatusOr<SharedAnswer> AdmitAndSolve(const SolveParts& parts,
                                           RequestContext& context,
                                           std::shared_ptr<const void> message,
                                           const SolveProblem& problem,
                                           Listener listener = {});

// "CONVERGED", for logs.
const char* NameOf(Termination termination);

}  // namespace steelyard::server
