#include "server/handlers/block_stream.h"

#include "steelyard/stop_token.h"

namespace steelyard::server {

absl::Status GoneStatus(const RequestContext& context) {
  const absl::Status stopped = StopStatus(context.stop().token());
  if (!stopped.ok()) return stopped;
  return absl::CancelledError("the caller has gone");
}

}  // namespace steelyard::server
