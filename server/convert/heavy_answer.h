// Heavy rows on the wire: whole for QueryHeavy, in parts for StreamQueryHeavy.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "server/convert/heavy_query.h"
#include "server/convert/timing.h"
#include "server/limits/limits.h"
#include "steelyard/heavy_scores.h"
#include "steelyard/v1/universal_set_service.pb.h"

namespace steelyard::server {

// RESPONSE_TOO_LARGE before any work, where the shapes alone decide it.
absl::Status CheckResponseSize(const HeavyProblem& problem);

// Fill `response`, or RESPONSE_TOO_LARGE (then it stays empty, and nothing of
// more than max_response_bytes' own order was allocated). `rows`: G * m,
// head-major.
absl::Status ToProto(const std::vector<HeavyRow>& rows,
                     const HeavyProblem& problem, const Timing& timing,
                     v1::QueryHeavyResponse* response);

// The answer to block `id` in messages of at most chunk_bytes_max. A row that
// is larger than that comes in pieces: a part that begins with the row that the
// part before ended with carries more of its lists. Times stand in the last
// part. `write` returns false when the stream is broken: CANCELLED.
absl::Status WriteParts(
    const std::vector<HeavyRow>& rows, const HeavyProblem& problem,
    std::int64_t id, const Timing& timing, const Limits& limits,
    absl::FunctionRef<bool(const v1::StreamQueryHeavyResponse&)> write);

// Memory of rows that wait to be written in parts, a part included.
double MemoryOfParts(const std::vector<HeavyRow>& rows, const Limits& limits);

// Memory of an answer of `rows` rows with `entries` keys each, as message and
// on the wire, built only if it fits into `max` bytes.
double MemoryOfHeavyAnswer(double rows, double entries, bool packed,
                           double max);

}  // namespace steelyard::server
