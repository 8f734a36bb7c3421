// The local keys of AttendRequest: a window, or a grid.
#pragma once

#include "absl/status/status.h"
#include "steelyard/attend.h"
#include "steelyard/v1/universal_set_service.pb.h"

namespace steelyard::server {

// Fills window or grid of `options`; neither where the request has none.
// `fewest`: keys of the head with the fewest, on which the grid must lie. `n`:
// a wider window, or a larger radius than the grid, is the same as all.
// ERRORS  FIELD_OUT_OF_RANGE, SHAPE_OVERFLOW.
absl::Status LocalKeysFromProto(const v1::AttendRequest& request, Index fewest,
                                Index n, AttendOptions* options);

}  // namespace steelyard::server
