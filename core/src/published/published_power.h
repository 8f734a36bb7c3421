// Power regressions by the algorithm of [SYZ24] as written.
//
// METHOD  S A by a sketch, R of its QR, steps of fixed length preconditioned by
//   R from zero (fixed_step_solver.h), and a recursion over the power:
//     even   y_0 = b,                       A'A y_i = y_{i-1},  x = y_j
//     odd    y_0 = argmin ||A z - b||,      the same
//   A level ends when |g| has fallen to `tolerance` of |R^-T y_{i-1}| (level 0:
//   |R^-T A'b|): the error of A y_i is that part of A y_i then, after steps
//   whose number depends on the tolerance and on d / s alone. Where the
//   residual of the family asks for more, all levels go on from where they are.
//   Without a tolerance, steps go on until |g| no longer falls.
//   Fewer than 4 d rows of A are no place for a sketch: A stands for S A.
//
// REPORT  iterations: steps of all levels together; `method` tells them level
//   by level, up to the end by the paper and in all. The certificate is that of
//   the other methods, with A itself in the place of its R. A sketch of
//   numerical rank below d: x = 0, kIllConditioned.
//
// SOURCE  [SYZ24] arXiv 2308.14304, sections 4 (A'A), 5 (even), 6 (odd).
#pragma once

#include "absl/status/statusor.h"
#include "steelyard/power_regression.h"

namespace steelyard {

// As SolvePowerRegression, of kGramPower and kLeftGramPower. `max_iterations`
// holds for each level.
// ERRORS  InvalidArgument CONFLICTING_FIELDS beside those: extended output; an
//         SRHT of a sparse A.
absl::StatusOr<Solution> SolvePublished(const DenseOrCsr& a,
                                        const AnyMatrixView& b,
                                        const PowerRegressionOptions& options,
                                        const ComputeContext& context);

Cost CostOfPublished(const PowerShape& shape,
                     const PowerRegressionOptions& options, int workers);

}  // namespace steelyard
