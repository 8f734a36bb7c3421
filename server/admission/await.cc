#include "server/admission/await.h"

namespace steelyard::server {
namespace {

// The waiting thread's look at its caller.
constexpr std::chrono::milliseconds kLook{10};

// gRPC cancels a call at its deadline, perhaps a moment before our clock sees
// it.
StopReason ReasonToLeave(const RequestContext& context) {
  const bool late = context.deadline().has_value() &&
                    RequestContext::Clock::now() + kLook >= *context.deadline();
  return late ? StopReason::kDeadline : StopReason::kCancelled;
}

}  // namespace

absl::Status AwaitOrLeave(
    RequestContext& context, const Listener& listener,
    absl::FunctionRef<bool(std::chrono::milliseconds)> ended,
    absl::FunctionRef<void(StopReason)> leave) {
  const StopToken stop = context.stop().token();
  while (!ended(kLook)) {
    const bool deaf = listener.look && !listener.look();
    if (!stop.answer_unwanted() && (deaf || context.cancelled())) {
      StopSource(context.stop()).RequestStop(ReasonToLeave(context));
    }
    if (stop.answer_unwanted()) {
      leave(stop.reason());
      return StopStatus(stop);
    }
  }
  return absl::OkStatus();
}

}  // namespace steelyard::server
