// Did somebody ask to stop?
#pragma once

#include "absl/status/status.h"
#include "steelyard/stop_token.h"

namespace steelyard {

// One look at the token. CANCELLED or DEADLINE_EXCEEDED when the answer is
// unwanted; ABORTED when the best answer so far is wanted (the caller decides
// what that is); OK otherwise.
absl::Status CheckStop(const StopToken& stop);

}  // namespace steelyard
