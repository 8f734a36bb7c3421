// LevAttention of any number of query blocks.
#pragma once

#include "absl/status/status.h"
#include "server/handlers/block_stream.h"
#include "server/handlers/universal_set_work.h"
#include "server/request/message_stream.h"
#include "server/request/request_context.h"
#include "steelyard/v1/universal_set_service.pb.h"

namespace steelyard::server {

class StreamAttendHandler {
 public:
  explicit StreamAttendHandler(const UniversalSetParts& parts)
      : parts_(parts) {}

  absl::Status Handle(RequestContext& context,
                      MessageStream<v1::StreamAttendRequest,
                                    v1::StreamAttendResponse>& stream) const;

 private:
  const UniversalSetParts parts_;
};

}  // namespace steelyard::server
