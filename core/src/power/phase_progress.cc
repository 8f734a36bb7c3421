#include "power/phase_progress.h"

#include <algorithm>

namespace steelyard {

void PhaseProgress::Enter(std::string_view phase, double from, double to) {
  from_ = from;
  to_ = to;
  Report(phase, 0.0);
}

void PhaseProgress::Report(std::string_view phase, double part,
                           std::optional<double> relative_residual) {
  ProgressUpdate update;
  update.iteration = phase == phase_ ? iteration_ + 1 : 0;
  update.phase = phase;
  update.relative_residual = relative_residual;
  update.fraction = part;
  Send(update);
}

ProgressSink PhaseProgress::Sink() {
  if (!context_.progress) return {};
  return [this](const ProgressUpdate& update) { Send(update); };
}

void PhaseProgress::Send(ProgressUpdate update) {
  phase_ = update.phase;
  iteration_ = update.iteration;
  if (update.fraction) {
    const double whole =
        from_ + (to_ - from_) * std::clamp(*update.fraction, 0.0, 1.0);
    sent_ = std::max(sent_, whole);
  }
  update.fraction = sent_;
  context_.Report(update);
}

}  // namespace steelyard
