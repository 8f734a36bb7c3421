// Every large score of given queries.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "server/handlers/universal_set_work.h"
#include "server/request/request_context.h"
#include "steelyard/v1/universal_set_service.pb.h"

namespace steelyard::server {

class QueryHeavyHandler {
 public:
  explicit QueryHeavyHandler(const UniversalSetParts& parts) : parts_(parts) {}

  absl::Status Handle(RequestContext& context,
                      std::shared_ptr<const v1::QueryHeavyRequest> request,
                      v1::QueryHeavyResponse* response) const;

 private:
  const UniversalSetParts parts_;
};

}  // namespace steelyard::server
