// The set of the union of shards, kept under a new name, finished.
#pragma once

#include "absl/status/status.h"
#include "server/handlers/state_merge.h"
#include "server/handlers/universal_set_work.h"
#include "server/request/request_context.h"

namespace steelyard::server {

class MergeStatesHandler {
 public:
  explicit MergeStatesHandler(const UniversalSetParts& parts) : parts_(parts) {}

  // `inbox`: the messages of the client, filled by another thread.
  absl::Status Handle(RequestContext& context, StateMerge::Requests& inbox,
                      v1::MergeStatesResponse* response) const;

 private:
  const UniversalSetParts parts_;
};

}  // namespace steelyard::server
