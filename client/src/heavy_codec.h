// QueryHeavy: requests to the wire, answers from it.
#pragma once

#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "steelyard/client/heavy_scores.h"
#include "steelyard/client/matrix_source.h"
#include "steelyard/client/options.h"
#include "steelyard/v1/universal_set_service.pb.h"

namespace steelyard::client {

using KeySource = std::variant<DenseSource, KeptSet>;

// "universalSets/{id}" of itself or of the id alone.
std::string SetName(const std::string& name_or_id);

// All but the queries: the opening message of a stream as it is.
// ERRORS  those of a source (matrix_codec.h).
absl::Status ToProto(const KeySource& source, const HeavyOptions& options,
                     const ClientOptions& limits,
                     v1::QueryHeavyRequest* request);

HeavyRow FromProto(const v1::HeavyRow& wire);
HeavyScores FromProto(const v1::QueryHeavyResponse& response);

// ERRORS  Internal: arrays that do not fit together.
absl::StatusOr<PackedHeavyScores> PackedFromProto(
    const v1::QueryHeavyResponse& response);

}  // namespace steelyard::client
