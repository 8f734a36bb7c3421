// Where a long call stands, as its stream tells it.
#pragma once

#include <chrono>
#include <optional>

#include "steelyard/progress.h"
#include "steelyard/v1/progress.pb.h"

namespace steelyard::server {

// `elapsed`: since the call was admitted or queued.
void ToProto(const ProgressUpdate& update, std::chrono::nanoseconds elapsed,
             std::optional<std::chrono::nanoseconds> time_left,
             v1::Progress* progress);

}  // namespace steelyard::server
