// What requests say about stored sets, and what is told of them.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "google/protobuf/duration.pb.h"
#include "server/convert/page.h"
#include "server/sets/set_registry.h"
#include "steelyard/v1/universal_set_service.pb.h"

namespace steelyard::server {

// `set_id` and `ttl` of a request, whose fields stand behind `path` ("", or
// "open."). An empty id: the server chooses. `bytes` is left to the caller.
// ERRORS  FIELD_OUT_OF_RANGE.
absl::StatusOr<SetRequest> SetRequestFromProto(
    const std::string& set_id, bool has_ttl,
    const google::protobuf::Duration& ttl, const std::string& path);

void ToProto(const SetInfo& info, v1::UniversalSetInfo* proto);

void ToProto(const SetRegistry::Page& page,
             v1::ListUniversalSetsResponse* response);

// The heads that are asked for; none: all. ERRORS  FIELD_OUT_OF_RANGE: not in
// [0, heads), or not ascending.
absl::StatusOr<std::vector<Index>> HeadsFromProto(
    const v1::ReadUniversalSetRequest& request, Index heads);

}  // namespace steelyard::server
