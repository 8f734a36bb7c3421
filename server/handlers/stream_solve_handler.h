// One regression, with progress and an answer of any size.
#pragma once

#include <memory>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "server/handlers/solve_work.h"
#include "server/request/request_context.h"
#include "steelyard/v1/regression_service.pb.h"

namespace steelyard::server {

class StreamSolveHandler {
 public:
  explicit StreamSolveHandler(const SolveParts& parts) : parts_(parts) {}

  // `write` sends an event; false: the stream is broken.
  absl::Status Handle(
      RequestContext& context, std::shared_ptr<const v1::SolveRequest> request,
      absl::FunctionRef<bool(const v1::SolveEvent&)> write) const;

 private:
  const SolveParts parts_;
};

}  // namespace steelyard::server
