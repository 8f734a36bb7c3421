#include "linalg/stopped.h"

namespace steelyard {

absl::Status CheckStop(const StopToken& stop) {
  if (!stop.stop_requested()) return absl::OkStatus();
  absl::Status status = StopStatus(stop);
  if (!status.ok()) return status;
  return absl::AbortedError("asked to stop before the work was done");
}

}  // namespace steelyard
