// ScoreFunction of a request -> core, and back.
#pragma once

#include "absl/status/statusor.h"
#include "steelyard/matrix_view.h"
#include "steelyard/score_function.h"
#include "steelyard/v1/score_function.pb.h"

namespace steelyard::server {

// `given`: the request has the field; else |x|^2. `columns`: d, for the default
// scale of softmax, 1 / sqrt(d).
//
// ERRORS  FIELD_REQUIRED (no kind, softmax without a mode), FIELD_OUT_OF_RANGE,
//         UNKNOWN_ENUM, LIMIT_EXCEEDED (terms).
absl::StatusOr<ScoreFunction> ScoreFunctionFromProto(
    bool given, const v1::ScoreFunction& proto, Index columns);

void ToProto(const ScoreFunction& function, v1::ScoreFunction* proto);

// Scores by `a` are scores by `b`: equal exponents, coefficients and scales.
// The mode of softmax is how they are looked for, not what they are.
bool GiveTheSameScores(const ScoreFunction& a, const ScoreFunction& b);

}  // namespace steelyard::server
