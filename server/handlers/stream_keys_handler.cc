#include "server/handlers/stream_keys_handler.h"

namespace steelyard::server {

absl::Status StreamKeysHandler::Handle(RequestContext& context,
                                       KeyStream::Requests& inbox,
                                       const KeyStream::Write& write) const {
  const absl::StatusOr<StreamSlots::Slot> slot = parts_.slots.Take();
  if (!slot.ok()) return slot.status();
  KeyStream stream(parts_, context, inbox, write);
  return stream.Run();
}

}  // namespace steelyard::server
