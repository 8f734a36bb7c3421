// One regression, with progress and an answer of any size.
#pragma once

#include <memory>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "server/admission/gate.h"
#include "server/convert/stored_input.h"
#include "server/limits/limits.h"
#include "server/request/request_context.h"
#include "steelyard/v1/regression_service.pb.h"

namespace steelyard::server {

class StreamSolveHandler {
 public:
  StreamSolveHandler(const Limits& limits, int workers, Gate& gate,
                     const MatrixLookup& matrices = {})
      : limits_(limits), workers_(workers), gate_(gate), matrices_(matrices) {}

  // `write` sends an event; false: the stream is broken.
  absl::Status Handle(
      RequestContext& context, std::shared_ptr<const v1::SolveRequest> request,
      absl::FunctionRef<bool(const v1::SolveEvent&)> write) const;

 private:
  const Limits limits_;
  const int workers_;
  Gate& gate_;
  const MatrixLookup matrices_;  // empty: the server keeps none
};

}  // namespace steelyard::server
