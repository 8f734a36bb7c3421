#include "steelyard/prepared_matrix.h"

#include <algorithm>

#include "linalg/svd.h"
#include "power/phase_progress.h"
#include "power/power_factor.h"
#include "power/power_ladder.h"
#include "power/power_shape.h"
#include "power/spectral_factor.h"
#include "power/together.h"

namespace steelyard {
namespace {

bool IsExponential(const PowerRegressionOptions& options) {
  return options.family == PowerFamily::kMatrixExponential;
}

// Whether `options` would draw the sketch that R came from, if any.
bool SameSketch(const PowerRegressionOptions& options,
                const PowerFactor& factor) {
  return !factor.sketched || (options.sketch.kind == factor.sketch.kind &&
                              options.sketch.rows == factor.sketch.rows &&
                              options.seed.value == factor.seed.value);
}

}  // namespace

std::int64_t PreparedMatrix::bytes() const { return factor_->bytes(); }

bool PreparedMatrix::Serves(const PowerRegressionOptions& options) const {
  return CanPrepare(options) &&
         IsExponential(options) == factor_->exponential.has_value() &&
         (options.family != PowerFamily::kGramPower ||
          factor_->spectral_tried) &&
         options.ridge == factor_->ridge && options.method == factor_->method &&
         SameSketch(options, *factor_);
}

bool CanPrepare(const PowerRegressionOptions& options) {
  return options.method != PowerMethod::kSeries &&
         options.method != PowerMethod::kSketchPublished;
}

absl::StatusOr<PreparedMatrix> PrepareMatrix(
    const DenseOrCsr& a, const PowerRegressionOptions& options,
    const ComputeContext& context) {
  PhaseProgress progress(context);
  const ComputeContext inner{context.workers, context.stop, progress.Sink()};
  progress.Enter("scan", 0.0, 0.1);
  const absl::StatusOr<ColumnScales> scales = ScanMatrix(a, "a", inner);
  if (!scales.ok()) return scales.status();
  progress.Enter("factor", 0.1, 1.0);
  auto factor = MakePowerFactor(a, *scales, options, FactorGrade::kQr, inner);
  if (!factor.ok()) return factor.status();
  return PreparedMatrix(*std::move(factor));
}

std::vector<absl::StatusOr<Solution>> SolveTogether(
    const PreparedMatrix& prepared, const DenseOrCsr& a,
    absl::Span<const AnyMatrixView> bs, const PowerRegressionOptions& options,
    const ComputeContext& context) {
  PhaseProgress progress(context);
  const ComputeContext inner{context.workers, context.stop, progress.Sink()};
  progress.Enter("scan", 0.0, 0.05);
  const std::vector<Caller> callers = ScanCallers(bs, inner);
  const bool stopped = std::any_of(
      callers.begin(), callers.end(),
      [](const Caller& caller) { return absl::IsAborted(caller.status); });
  if (stopped) {
    return StoppedCallers(a, callers, options, context.stop.reason());
  }
  return SolveCallers(prepared.factor(), a, callers, options, progress, inner);
}

Cost CostOfPreparing(const PowerShape& shape,
                     const PowerRegressionOptions& options, int workers) {
  const auto d = static_cast<double>(shape.d);
  Cost cost = CostOfFactor(shape, options, workers);
  cost += CostOfSketchStep(shape, options, workers);
  // One more SVD (minimum norm, exponential) with its operands, and what is
  // kept of it.
  cost += CostOfRightSvd(shape.d);
  cost.bytes += 64.0 * d * d + 65536.0;
  if (IsExponential(options)) return cost;
  cost.flops += 512.0 * d * d;
  if (options.family == PowerFamily::kGramPower) {
    // spectral_factor.h: V, what refines it, the directions and their pass.
    const Index m = DirectionsToMeasure(shape.n, shape.d);
    const auto directions = static_cast<double>(m);
    cost.bytes += 8.0 * (8.0 * d + 8.0 * directions) * d;
    cost.bytes += BytesOfPass(shape, m, workers);
    cost.flops += 80.0 * EntriesOf(shape) * directions + 120.0 * d * d * d;
  }
  return cost;
}

Cost CostOfSolvingTogether(const PowerShape& shape,
                           const PowerRegressionOptions& options, int workers) {
  const auto d = static_cast<double>(shape.d);
  const auto k = static_cast<double>(shape.k);
  const Index slice = std::min(shape.k, SliceColumns());
  const double levels = IsExponential(options) ? 1.0 : options.exponent + 1.0;
  Cost cost;
  // z as hi + lo, rho, and the blocks that a certificate works with.
  cost.bytes = 8.0 * d * static_cast<double>(slice) * (3.0 * levels + 24.0);
  cost.bytes += BytesOfPass(shape, slice, workers);
  if (options.family == PowerFamily::kGramPower) {
    // spectral_solver.h: C, a slice on every worker, what all slices found.
    const double wide = static_cast<double>(workers * SliceColumns());
    cost.bytes += 8.0 * d * (2.0 * d + 8.0 * wide + 2.0 * k);
  }
  // x, x_low, exponents, report; the same of what is put together.
  cost.bytes += 40.0 * d * k + 2048.0 * k + 65536.0;
  // A level: some 3 plain passes and 2 in double-double (40 an entry each).
  cost.flops = levels * k * (100.0 * EntriesOf(shape) + 40.0 * d * d);
  cost += CostOfIteration(shape, options, slice);
  return cost;
}

}  // namespace steelyard
