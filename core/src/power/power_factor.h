// What a power regression knows of A once it has been factored: everything that
// does not depend on right-hand sides.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "factor/factor.h"
#include "power/gram_solver.h"
#include "steelyard/compute_context.h"
#include "steelyard/power_regression.h"

namespace steelyard {

struct PowerFactor {
  Factor factor;
  // Keeps a pointer to `factor`: a PowerFactor never moves.
  std::optional<GramSolver> solver;
  // l 4^-exponents; empty for l = 0.
  std::vector<double> ridge_diagonal;
  double log2_norm = 0.0;  // log2 ||A||_2
  // What it was made with.
  double ridge = 0.0;
  std::optional<PowerMethod> method;

  PowerFactor() = default;
  PowerFactor(const PowerFactor&) = delete;
  PowerFactor& operator=(const PowerFactor&) = delete;
};

// Factors A, whose columns were scanned.
// ERRORS  Cancelled, DeadlineExceeded; Aborted: a stop that wants the best
//         answer.
absl::StatusOr<std::shared_ptr<const PowerFactor>> MakePowerFactor(
    const DenseOrCsr& a, const ColumnScales& scales,
    const PowerRegressionOptions& options, const ComputeContext& context);

// The way to R that a method of a power regression takes; unset: the ladder.
std::optional<FactorMethod> FactorMethodOf(std::optional<PowerMethod> method);

}  // namespace steelyard
