// The keys that can ever matter.
#pragma once

#include <memory>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "server/handlers/universal_set_work.h"
#include "server/request/request_context.h"
#include "steelyard/v1/universal_set_service.pb.h"

namespace steelyard::server {

class FindUniversalSetHandler {
 public:
  explicit FindUniversalSetHandler(const UniversalSetParts& parts)
      : parts_(parts) {}

  absl::Status Handle(
      RequestContext& context,
      std::shared_ptr<const v1::FindUniversalSetRequest> request,
      v1::FindUniversalSetResponse* response) const;

 private:
  const UniversalSetParts parts_;
};

// The same with progress and an answer of any size.
class StreamFindUniversalSetHandler {
 public:
  explicit StreamFindUniversalSetHandler(const UniversalSetParts& parts)
      : parts_(parts) {}

  // `write` sends an event; false: the stream is broken.
  absl::Status Handle(
      RequestContext& context,
      std::shared_ptr<const v1::FindUniversalSetRequest> request,
      absl::FunctionRef<bool(const v1::FindUniversalSetEvent&)> write) const;

 private:
  const UniversalSetParts parts_;
};

}  // namespace steelyard::server
