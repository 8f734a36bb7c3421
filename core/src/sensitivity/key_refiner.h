// One key, refined until its interval decides: lower and upper end of sigma_j
// from the queries and duals of a KeySolver, each end certified.
#pragma once

#include <memory>
#include <vector>

#include "sensitivity/certificate.h"
#include "sensitivity/key_solver.h"
#include "sensitivity/lewis_bounds.h"
#include "sensitivity/whitened_keys.h"
#include "steelyard/compute_context.h"

namespace steelyard {

// lower <= sigma_j <= upper.
struct SensitivityInterval {
  double lower = 0.0;
  double upper = 1.0;
};

// Ends this near to each other, relatively, count as one value.
inline constexpr double kTightInterval = 1e-6;
inline bool IsTight(const SensitivityInterval& interval) {
  return interval.upper <= interval.lower * (1.0 + kTightInterval);
}

struct RefinementGoal {
  double epsilon = 0.0;
  // Not only the side of epsilon: the value itself, unless it is below.
  bool value = false;
  int steps_max = 0;
};

bool IsReached(const RefinementGoal& goal, const SensitivityInterval& interval);

class KeyRefiner {
 public:
  // All are kept by reference. Memory 20 n + 4 r^2 words.
  KeyRefiner(const WhitenedKeys& keys, const PowerCertificate& certificate,
             const LewisBounds& start);

  // Narrows `interval`; stops at the goal, after steps_max steps, or when steps
  // narrow no further. Returns the steps taken, the first look included.
  int Refine(Index j, const RefinementGoal& goal, const ComputeContext& context,
             SensitivityInterval* interval);

  // After Refine, in the coordinates of the whitened keys: the last query, the
  // best where the interval is tight.
  const std::vector<double>& query() const { return solver_->y(); }

  // After Refine: lower ends that the same query proves for other keys.
  // Raises lower[i]; nothing where Refine could not start.
  void RaiseLowerEnds(std::vector<double>* lower) const;

 private:
  void Narrow(Index j, const StopToken& stop, SensitivityInterval* interval);

  const WhitenedKeys& keys_;
  const PowerCertificate& certificate_;
  const LewisBounds& start_;
  std::unique_ptr<KeySolver> solver_;
  std::vector<double> y0_;
  PowerCertificate::Witness witness_;
};

// Of one step.
double FlopsOfRefinementStep(Index n, Index r);
double BytesOfKeyRefiner(Index n, Index r);

}  // namespace steelyard
