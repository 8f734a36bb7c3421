// Attended values on the wire: whole for Attend, in parts for StreamAttend.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "server/convert/attend.h"
#include "server/convert/timing.h"
#include "server/limits/limits.h"
#include "steelyard/attend.h"
#include "steelyard/v1/universal_set_service.pb.h"

namespace steelyard::server {

// RESPONSE_TOO_LARGE before any work: the shapes decide all but some bytes.
absl::Status CheckResponseSize(const AttendProblem& problem);

// Fill `response`, or RESPONSE_TOO_LARGE (then it stays empty). `heads`: one a
// query head.
absl::Status ToProto(const std::vector<AttendedHead>& heads,
                     const AttendProblem& problem, const Timing& timing,
                     v1::AttendResponse* response);

// The answer to block `id` in messages of at most chunk_bytes_max; the time
// stands in the last one. `write` returns false when the stream is broken:
// CANCELLED.
absl::Status WriteParts(
    const std::vector<AttendedHead>& heads, const AttendProblem& problem,
    std::int64_t id, const Timing& timing, const Limits& limits,
    absl::FunctionRef<bool(const v1::StreamAttendResponse&)> write);

// What WriteParts holds: the heads, and one part at a time.
double MemoryOfParts(const AttendProblem& problem, const Limits& limits);

// Memory of an answer of `rows` rows, as message and on the wire, built only if
// it fits into `max` bytes.
double MemoryOfAttendAnswer(double rows, const AttendTerms& terms, double max);

}  // namespace steelyard::server
