// A regression's answer on the wire: whole for Solve, in pieces for
// StreamSolve.
#pragma once

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "server/convert/regression.h"
#include "server/convert/timing.h"
#include "server/limits/limits.h"
#include "steelyard/solution.h"
#include "steelyard/v1/regression_service.pb.h"

namespace steelyard::server {

// What the report tells that core does not know.
struct SolveFacts {
  std::uint64_t seed = 0;
  Timing timing;
  // The factor of a stored matrix was there already.
  bool factor_cache_hit = false;
};

// Fill `response`, or RESPONSE_TOO_LARGE (then it stays empty).
absl::Status ToProto(const Solution& solution, const SolveProblem& problem,
                     const SolveFacts& facts, v1::SolveResponse* response);

// The answer as the last events of StreamSolve. `result` holds x and x_low
// themselves when the whole message then has at most chunk_bytes_max; otherwise
// x, then x_low, come before it in messages of at most chunk_bytes_max, and
// their `data` is empty. `write` returns false when the stream is broken:
// CANCELLED.
//
// RESPONSE_TOO_LARGE where even so the result has more than chunk_bytes_max and
// more than max_response_bytes: x_exponents have no chunks. Nothing has been
// written then.
absl::Status WriteSolution(
    const Solution& solution, const SolveProblem& problem,
    const SolveFacts& facts, const Limits& limits,
    absl::FunctionRef<bool(const v1::SolveEvent&)> write);

}  // namespace steelyard::server
