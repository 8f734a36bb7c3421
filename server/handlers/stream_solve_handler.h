// One regression, with progress and an answer of any size.
#pragma once

#include <memory>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "server/admission/gate.h"
#include "server/limits/limits.h"
#include "server/request/request_context.h"
#include "steelyard/v1/regression_service.pb.h"

namespace steelyard::server {

class StreamSolveHandler {
 public:
  StreamSolveHandler(const Limits& limits, int workers, Gate& gate)
      : limits_(limits), workers_(workers), gate_(gate) {}

  // `write` sends an event; false: the stream is broken.
  absl::Status Handle(
      RequestContext& context, std::shared_ptr<const v1::SolveRequest> request,
      absl::FunctionRef<bool(const v1::SolveEvent&)> write) const;

 private:
  const Limits limits_;
  const int workers_;
  Gate& gate_;
};

}  // namespace steelyard::server
