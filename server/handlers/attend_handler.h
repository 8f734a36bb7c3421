// LevAttention of given queries, in one answer.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "server/handlers/universal_set_work.h"
#include "server/request/request_context.h"
#include "steelyard/v1/universal_set_service.pb.h"

namespace steelyard::server {

class AttendHandler {
 public:
  explicit AttendHandler(const UniversalSetParts& parts) : parts_(parts) {}

  absl::Status Handle(RequestContext& context,
                      std::shared_ptr<const v1::AttendRequest> request,
                      v1::AttendResponse* response) const;

 private:
  const UniversalSetParts parts_;
};

}  // namespace steelyard::server
