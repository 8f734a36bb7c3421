// One regression, one answer.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "server/handlers/solve_work.h"
#include "server/request/request_context.h"
#include "steelyard/v1/regression_service.pb.h"

namespace steelyard::server {

class SolveHandler {
 public:
  explicit SolveHandler(const SolveParts& parts) : parts_(parts) {}

  absl::Status Handle(RequestContext& context,
                      std::shared_ptr<const v1::SolveRequest> request,
                      v1::SolveResponse* response) const;

 private:
  const SolveParts parts_;
};

}  // namespace steelyard::server
