// Who is in the universal set, once every key has its score.
//
// METHOD  Scores carry a relative error delta: true tau lies in
//   [tau~ / (1 + delta), tau~ (1 + delta)].
//     certain    tau~ >= epsilon (1 + delta)
//     excluded   tau~ (1 + delta) < epsilon
//     undecided  between: members, and listed
//   top_m keeps the largest of the members, ties to the lower index; then a
//   member is undecided too when its interval meets that of an excluded key.
//
// SOURCE  NUMERICS N4.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "steelyard/universal_set.h"

namespace steelyard {

// The leverage scores of n keys.
struct LeverageScores {
  // Clipped to [0, 1]. After a filter (filtered_scores.h): an upper bound for
  // keys that it excluded.
  std::vector<double> tau;
  std::vector<Index> new_direction;  // keys with score 1 by the rank rule
  double delta = 0.0;                // of N4; may be infinite
  // The sum of all scores where tau does not tell it.
  std::optional<double> total = std::nullopt;
  bool certain = true;  // false: a member may be missing, as `how` says
  std::string how;      // the scores were found; empty: every key in float64
};

// Fills indices, sensitivities, effective_epsilon, exact, undecided,
// new_direction and total_sensitivity of `set`.
void SelectMembers(const LeverageScores& scores,
                   const UniversalSetOptions& options, UniversalSet* set);

}  // namespace steelyard
