// Kept sets and streams of keys: messages to structs and back.
#pragma once

#include <string>

#include "steelyard/client/key_stream.h"
#include "steelyard/client/set_registry.h"
#include "steelyard/v1/universal_set_service.pb.h"

namespace steelyard::client {

SetInfo FromProto(const v1::UniversalSetInfo& wire);

// A new session: every field but resume and import_state.
void ToProto(const KeyStreamOptions& options, v1::OpenKeys* open);

void ToProto(const std::string& set_id, const MergeInputs& inputs,
             const std::optional<Seconds>& ttl, v1::MergeOpen* open);

// The id of "universalSets/{id}", or of itself.
std::string SetId(const std::string& name_or_id);

}  // namespace steelyard::client
