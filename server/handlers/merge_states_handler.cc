#include "server/handlers/merge_states_handler.h"

namespace steelyard::server {

absl::Status MergeStatesHandler::Handle(
    RequestContext& context, StateMerge::Requests& inbox,
    v1::MergeStatesResponse* response) const {
  const absl::StatusOr<StreamSlots::Slot> slot = parts_.slots.Take();
  if (!slot.ok()) return slot.status();
  StateMerge merge(parts_, context, inbox);
  return merge.Run(response);
}

}  // namespace steelyard::server
