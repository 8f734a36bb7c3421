// epsilon and top_m of requests: how sensitive a key, or how large a score,
// must be.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "steelyard/matrix_view.h"

namespace steelyard::server {

struct Threshold {
  std::optional<double> epsilon;  // in (0, 1]
  std::optional<Index> top_m;     // >= 1
};

// Of a set that is looked for. Unset fields stay unset; epsilon 0 is unset.
// ERRORS  FIELD_OUT_OF_RANGE.
absl::StatusOr<Threshold> ThresholdFromProto(double epsilon,
                                             std::optional<std::int64_t> top_m);

// The same where one of the two must be there. ERRORS  also FIELD_REQUIRED.
absl::StatusOr<Threshold> RequiredThreshold(double epsilon,
                                            std::optional<std::int64_t> top_m);

// Of scores. ERRORS  FIELD_REQUIRED, FIELD_OUT_OF_RANGE.
absl::StatusOr<double> EpsilonFromProto(double epsilon);

}  // namespace steelyard::server
