#include "steelyard/prepared_matrix.h"

#include <algorithm>

#include "linalg/svd.h"
#include "power/gradient_pass.h"
#include "power/odd_power.h"
#include "power/phase_progress.h"
#include "power/power_factor.h"
#include "power/power_ladder.h"
#include "power/power_shape.h"
#include "power/spectral_factor.h"
#include "power/split_gram.h"
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

namespace {

// Of one column on the road that spectral_factor.h opens; sparse A of the odd
// family, and what has not that road: some 3 plain passes a level and 2 in
// double-double (40 an entry each).
double FlopsOfColumns(const PowerShape& shape,
                      const PowerRegressionOptions& options) {
  const auto d = static_cast<double>(shape.d);
  const bool even = options.family == PowerFamily::kGramPower;
  const bool levels = IsExponential(options) || options.extended_output ||
                      options.method == PowerMethod::kSketch ||
                      (shape.nonzeros.has_value() && !even);
  if (levels) {
    const double count = IsExponential(options) ? 1.0 : options.exponent + 1.0;
    return count * (100.0 * EntriesOf(shape) + 40.0 * d * d);
  }
  if (even) return 10.0 * d * d;
  return 6.0 * EntriesOf(shape) + (28.0 + 2.0 * options.exponent) * d * d;
}

}  // namespace

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
  // spectral_factor.h: V, what refines it, F and N of the directions, where
  // they come from.
  cost.flops += 512.0 * d * d + 120.0 * d * d * d;
  if (shape.nonzeros) {
    const Index m = DirectionsToMeasure(shape.n, shape.d);
    const auto directions = static_cast<double>(m);
    cost.bytes += 8.0 * (8.0 * d + 8.0 * directions) * d;
    cost.bytes += BytesOfPass(shape, m, workers);
    cost.flops += 80.0 * EntriesOf(shape) * directions;
  } else {
    cost += CostOfSplitGram(shape.n, shape.d, workers);
    cost.bytes += 8.0 * (18.0 * d + 8.0 * workers) * d;
    cost.flops += 60.0 * d * d * d;
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
  } else if (!IsExponential(options)) {
    // odd_power.h: A'b, a slice on every worker, what a slice of A'b found.
    if (!shape.nonzeros) {
      const Index columns =
          std::min(shape.k, GradientColumns(shape.n, shape.d));
      cost.bytes += BytesOfGradientPass(shape.n, shape.d, columns, workers) +
                    BytesOfOddPower(shape.d, slice, workers) +
                    8.0 * (4.0 * d + 16.0) * static_cast<double>(columns + 16);
    }
  }
  // x, x_low, exponents, report; the same of what is put together.
  cost.bytes += 40.0 * d * k + 2048.0 * k + 65536.0;
  cost.flops = FlopsOfColumns(shape, options) * k;
  cost += CostOfIteration(shape, options, slice);
  return cost;
}

}  // namespace steelyard
