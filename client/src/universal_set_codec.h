// FindUniversalSet: requests to the wire, answers from it.
#pragma once

#include "absl/status/status.h"
#include "steelyard/client/matrix_source.h"
#include "steelyard/client/options.h"
#include "steelyard/client/universal_set.h"
#include "steelyard/v1/universal_set_service.pb.h"

namespace steelyard::client {

// ERRORS  those of a source (matrix_codec.h).
absl::Status ToProto(const DenseSource& keys,
                     const UniversalSetOptions& options,
                     const ClientOptions& limits,
                     v1::FindUniversalSetRequest* request);

UniversalSet FromProto(const v1::UniversalSet& wire);
UniversalSets FromProto(const v1::FindUniversalSetResponse& response);

}  // namespace steelyard::client
