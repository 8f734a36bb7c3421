// The state of a streamed session, for another server or a merge.
#pragma once

#include <memory>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "server/handlers/universal_set_work.h"
#include "server/request/request_context.h"
#include "steelyard/v1/universal_set_stream.pb.h"

namespace steelyard::server {

class ExportStateHandler {
 public:
  explicit ExportStateHandler(const UniversalSetParts& parts) : parts_(parts) {}

  // `write` sends a chunk; false: the stream is broken.
  absl::Status Handle(
      RequestContext& context,
      std::shared_ptr<const v1::ExportStateRequest> request,
      absl::FunctionRef<bool(const v1::StateChunk&)> write) const;

 private:
  const UniversalSetParts parts_;
};

}  // namespace steelyard::server
