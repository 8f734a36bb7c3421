// Attend: requests to the wire, answers from it.
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "steelyard/client/attend.h"
#include "steelyard/client/options.h"
#include "steelyard/v1/universal_set_service.pb.h"

namespace steelyard::client {

// All but the queries: the opening message of a stream as it is.
// ERRORS  those of a tensor (tensor_codec.h).
absl::Status ToProto(const AttendInputs& inputs, const AttendOptions& options,
                     const ClientOptions& limits, v1::AttendRequest* request);

// ERRORS  Internal: arrays that do not fit together.
absl::StatusOr<Attention> FromProto(const v1::AttendResponse& response);

}  // namespace steelyard::client
