// What every computation is given besides its problem.
#pragma once

#include "steelyard/progress.h"
#include "steelyard/stop_token.h"
#include "steelyard/workers.h"

namespace steelyard {

struct ComputeContext {
  const Workers& workers;
  StopToken stop = {};
  ProgressSink progress = {};

  void Report(const ProgressUpdate& update) const {
    if (progress) progress(update);
  }
};

}  // namespace steelyard
