// One slice of right-hand sides: levels, certificate, termination.
//
// SOURCE  NUMERICS N2.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "power/certificate.h"
#include "power/termination.h"
#include "steelyard/power_regression.h"

namespace steelyard {

// What the solver of a slice is told beside its problem.
struct SliceGoal {
  std::optional<double> tolerance;
  bool extended_output = false;
  double log2_norm = 0.0;  // log2 ||A||_2
  double condition = 1.0;  // kappa of the scaled R
  // Called with the part of the work that is done, in [0, 1].
  std::function<void(std::string_view phase, double part,
                     std::optional<double> residual)>
      report;
};

struct SliceAnswer {
  // y_j = x, d x k with one exponent a column, rows still times
  // 2^exponents of A. Empty: x = 0 (no time for more).
  ScaledBlock x;
  Certificate certificate;
  std::vector<Termination> terminations;  // one a column
  std::vector<int> refinements;  // one a column
};

// ERRORS  Cancelled, DeadlineExceeded. A stop that wants the best answer ends
//         in an answer.
absl::StatusOr<SliceAnswer> SolveSlice(const PowerProblem& problem,
                                       const SliceGoal& goal,
                                       const ComputeContext& context);

// x = 0 for a stop before R existed: residual 1 whatever b.
SliceAnswer ZeroAnswer(const std::vector<bool>& b_is_zero, bool odd,
                       StopReason why);

}  // namespace steelyard
