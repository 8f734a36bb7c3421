// Which R a power regression gets: the ladder of N1, with sketches.
//
//   kappa to 1e7   Gram, Cholesky; what it lacks is refined with the true A
//                  (or repaired, where R is to be of QR grade)
//   to 1e14        R0 of a QR of a sketch of A. X = A R0^-1, R = chol(X'X) R0:
//                  2 n d^2 flops in register tiles. Or R0 alone, and some 30
//                  reads of A (sketched_least_squares.h), where that is less:
//                  least squares, once, d of some hundreds and more
//   above, small   Householder QR of A; the SVD of R decides the rank
//
//   Sparse: csr_factor.h; or R0 of a sketch alone, where that is least by
//   sparse/csr_cost_model.h: many rows with some tens of entries and more.
//
//   What is tried first goes by the sizes and a sample of rows
//   (condition_probe.h), what is kept by the condition number of R; never by
//   the clock.
//
// SOURCE  NUMERICS N1.
#pragma once

#include <optional>

#include "absl/status/statusor.h"
#include "factor/factor.h"
#include "sparse/csr_cost_model.h"
#include "steelyard/compute_context.h"
#include "steelyard/cost.h"
#include "steelyard/power_regression.h"

namespace steelyard {

struct LadderStep {
  Factor factor;
  // A sketch has part in R.
  bool sketched = false;
  // R is that of the sketch: good for preconditioning, no more.
  bool preconditioner = false;
  double distortion = 0.0;  // then: of the sketch
};

// `factor_options.method` is unset.
// ERRORS  Cancelled, DeadlineExceeded, Aborted: the stop token.
absl::StatusOr<LadderStep> ClimbPowerLadder(
    const AnyMatrixView& a, const ColumnScales& scales,
    FactorOptions factor_options, const PowerRegressionOptions& options,
    const ComputeContext& context);

// The same of a sparse A; `factor_options.method` may be set.
absl::StatusOr<LadderStep> ClimbSparseLadder(
    const AnyCsrView& a, const ColumnScales& scales,
    const FactorOptions& factor_options, const PowerRegressionOptions& options,
    const ComputeContext& context);

// Whether a regression of `options`, solved once, is least work with R0 of a
// sketch alone, for one right-hand side (bits must not depend on how many
// there are).
bool SketchIsLeast(const CsrCounts& a, const PowerRegressionOptions& options);

// R0 of a sketch of a dense or sparse A, as PowerMethod::kSketch asks for it.
// No factor: A has too few rows for a sketch, or R0 is not of full rank to
// kappa 1e14.
absl::StatusOr<std::optional<LadderStep>> SketchStep(
    const DenseOrCsr& a, const ColumnScales& scales,
    const PowerRegressionOptions& options, const ComputeContext& context);

// Memory and flops of the ladder beyond CostOfFactor (power_shape.h).
Cost CostOfSketchStep(const PowerShape& shape,
                      const PowerRegressionOptions& options, int workers);

}  // namespace steelyard
