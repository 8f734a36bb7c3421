// Predict: parse, admit, compute and send side by side.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "server/admission/gate.h"
#include "server/admission/stream_slots.h"
#include "server/convert/stored_input.h"
#include "server/limits/limits.h"
#include "server/request/request_context.h"
#include "steelyard/attention_kernel_prediction.h"
#include "steelyard/v1/regression_service.pb.h"

namespace steelyard::server {

struct PredictParts {
  const Limits limits;
  const int workers;
  Gate& gate;
  // Of all streams together: a caller that does not read holds a thread.
  StreamSlots& slots;
  // Empty: the server keeps no matrices.
  const MatrixLookup matrices = {};
  // Tests put others in its place.
  const std::function<absl::Status(
      const AnyMatrixView&, const AnyMatrixView&, const AnyMatrixView&,
      const KernelPredictionOptions&, const PredictionSink&,
      const ComputeContext&)>
      predict = PredictAttentionKernel;
};

// Work and socket go on side by side. When limits.stream_queue_bytes of rows
// wait for the socket the work ends and leaves its lane; when they are sent it
// goes on where it was, as a step of a stream. So no worker waits for a caller.
class PredictHandler {
 public:
  explicit PredictHandler(const PredictParts& parts) : parts_(parts) {}

  // `write` returns false when the stream is broken.
  absl::Status Handle(
      RequestContext& context,
      std::shared_ptr<const v1::PredictRequest> request,
      absl::FunctionRef<bool(const v1::PredictResponse&)> write) const;

 private:
  const PredictParts& parts_;
};

}  // namespace steelyard::server
