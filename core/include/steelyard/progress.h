// How long work tells where it stands.
#pragma once

#include <functional>
#include <optional>
#include <string_view>

namespace steelyard {

struct ProgressUpdate {
  std::string_view phase;  // "scan", "factor", "iterate", "verify"
  int iteration = 0;       // of this phase, from 0
  std::optional<double> relative_residual;  // of the worst right-hand side
  std::optional<double> fraction;           // of the whole call, in [0, 1]
};

// Called between blocks of work, from the thread that called the solver, never
// from two at once. Must return at once. Empty: nobody listens.
using ProgressSink = std::function<void(const ProgressUpdate&)>;

}  // namespace steelyard
