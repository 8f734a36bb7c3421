// Progress of a call that goes through phases: the fraction that listeners see
// covers the whole call and never falls.
#pragma once

#include <optional>
#include <string_view>

#include "steelyard/compute_context.h"

namespace steelyard {

class PhaseProgress {
 public:
  // `context` must outlive this.
  explicit PhaseProgress(const ComputeContext& context) : context_(context) {}
  PhaseProgress(const PhaseProgress&) = delete;
  PhaseProgress& operator=(const PhaseProgress&) = delete;

  // From now on `part` in [0, 1] of Report lies in [from, to] of the call.
  void Enter(std::string_view phase, double from, double to);
  void Report(std::string_view phase, double part,
              std::optional<double> relative_residual = std::nullopt);

  // For what is called inside a phase: its fractions are parts of the phase.
  ProgressSink Sink();

 private:
  void Send(ProgressUpdate update);

  const ComputeContext& context_;
  double from_ = 0.0;
  double to_ = 0.0;
  double sent_ = 0.0;
  std::string_view phase_;
  int iteration_ = 0;
};

}  // namespace steelyard
