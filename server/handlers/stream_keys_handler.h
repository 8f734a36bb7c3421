// The universal set of keys that arrive in chunks.
#pragma once

#include "absl/status/status.h"
#include "server/handlers/key_stream.h"
#include "server/handlers/universal_set_work.h"
#include "server/request/request_context.h"

namespace steelyard::server {

class StreamKeysHandler {
 public:
  explicit StreamKeysHandler(const UniversalSetParts& parts) : parts_(parts) {}

  // `inbox`: the messages of the client, filled by another thread.
  absl::Status Handle(RequestContext& context, KeyStream::Requests& inbox,
                      const KeyStream::Write& write) const;

 private:
  const UniversalSetParts parts_;
};

}  // namespace steelyard::server
