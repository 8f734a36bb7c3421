// How a transport thread waits for work that others do.
#pragma once

#include <chrono>
#include <functional>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "server/request/request_context.h"
#include "steelyard/progress.h"
#include "steelyard/stop_token.h"

namespace steelyard::server {

// What a handler hears while it waits.
struct Listener {
  // As ComputeContext.progress: called by the thread that computes, also after
  // the handler has left.
  ProgressSink progress = {};
  // Called on the transport thread at every look; false: the stream is broken,
  // nobody waits for the answer.
  std::function<bool()> look = {};
};

// Looks every 10 ms whether the caller is still there, until `ended`, which
// waits at most so long, says that the work is done. OK then. The caller is
// gone or out of time first: stops the context with the reason, calls `leave`
// with it and returns CANCELLED or DEADLINE_EXCEEDED.
absl::Status AwaitOrLeave(
    RequestContext& context, const Listener& listener,
    absl::FunctionRef<bool(std::chrono::milliseconds)> ended,
    absl::FunctionRef<void(StopReason)> leave);

}  // namespace steelyard::server
