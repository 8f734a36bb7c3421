// Every large score of given queries.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "server/admission/gate.h"
#include "server/limits/limits.h"
#include "server/request/request_context.h"
#include "steelyard/v1/universal_set_service.pb.h"

namespace steelyard::server {

class QueryHeavyHandler {
 public:
  QueryHeavyHandler(const Limits& limits, int workers, Gate& gate)
      : limits_(limits), workers_(workers), gate_(gate) {}

  absl::Status Handle(RequestContext& context,
                      std::shared_ptr<const v1::QueryHeavyRequest> request,
                      v1::QueryHeavyResponse* response) const;

 private:
  const Limits limits_;
  const int workers_;
  Gate& gate_;
};

}  // namespace steelyard::server
