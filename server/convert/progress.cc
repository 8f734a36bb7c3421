#include "server/convert/progress.h"

#include <string>

#include "server/convert/timing.h"

namespace steelyard::server {

void ToProto(const ProgressUpdate& update, std::chrono::nanoseconds elapsed,
             std::optional<std::chrono::nanoseconds> time_left,
             v1::Progress* progress) {
  progress->Clear();
  progress->set_phase(std::string(update.phase));
  progress->set_iteration(update.iteration);
  if (update.relative_residual.has_value()) {
    progress->set_relative_residual(*update.relative_residual);
  }
  if (update.fraction.has_value()) progress->set_fraction(*update.fraction);
  ToProto(elapsed, progress->mutable_elapsed());
  if (time_left.has_value()) {
    ToProto(*time_left, progress->mutable_time_left());
  }
}

}  // namespace steelyard::server
