// Intervals of all sensitivities for f = sum c_i |x|^p_i, refined where they
// straddle the threshold, under a budget of flops.
//
//     max(sigma^(p_min), sigma^(p_max)) <= sigma^f <= max_i sigma^(p_i)
//
// METHOD  Scaling a query to 0 or to infinity leaves one term of f (below); a
//   ratio of sums is at most the largest ratio (above). Keys are refined in
//   rounds, the largest upper ends first; a round's queries raise the lower
//   ends of all keys. First those that straddle the threshold, then the values
//   of the members. Rounds and budget depend on the problem alone, so the bits
//   do not depend on the number of workers.
//
// SOURCE  NUMERICS N7.
#pragma once

#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "sensitivity/key_refiner.h"
#include "sensitivity/term_bounds.h"
#include "sensitivity/whitened_keys.h"
#include "steelyard/compute_context.h"

namespace steelyard {

struct Threshold {
  std::optional<double> epsilon;
  std::optional<Index> top_m;
};

class IntervalRefinement {
 public:
  // `terms`: one for each exponent, ascending. Both are kept by reference.
  IntervalRefinement(const WhitenedKeys& keys, std::vector<TermBounds>* terms,
                     const Threshold& threshold);

  SensitivityInterval IntervalOf(Index j) const;
  // epsilon, or the top_m-th largest lower end where that is larger: no key
  // whose upper end is below belongs to the set.
  double CurrentEpsilon() const;

  // ERRORS  Cancelled, DeadlineExceeded, Aborted.
  absl::Status Run(double flops, const ComputeContext& context);

  Index keys_refined() const { return refined_; }
  double flops_left() const { return flops_left_; }

 private:
  // Keys worth a refinement, in the order of their turn.
  std::vector<Index> Candidates(bool values, double epsilon) const;
  absl::Status RunPhase(bool values, const ComputeContext& context);
  absl::Status RunRound(const std::vector<Index>& round,
                        const RefinementGoal& goal,
                        const ComputeContext& context);

  const WhitenedKeys& keys_;
  std::vector<TermBounds>& terms_;
  Threshold threshold_;
  double flops_left_ = 0.0;
  Index refined_ = 0;
  // Phases a key has had its turn in: bit 0 the side, bit 1 the value.
  std::vector<unsigned char> turns_;
};

// Flops that one head's refinement may take; none for p = 2.
double RefinementBudget(Index n, Index r);
// That, or what it takes to refine every key where that is less.
double FlopsOfRefinement(Index n, Index r, Index terms);
// Keys side by side at most.
inline constexpr Index kRefinementRound = 64;

}  // namespace steelyard
