#include "steelyard/power_regression.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "linalg/svd.h"
#include "power/phase_progress.h"
#include "power/power_factor.h"
#include "power/power_ladder.h"
#include "power/power_shape.h"
#include "power/series.h"
#include "power/together.h"
#include "published/published_power.h"

namespace steelyard {

absl::StatusOr<Solution> SolvePowerRegression(
    const DenseOrCsr& a, const AnyMatrixView& b,
    const PowerRegressionOptions& options, const ComputeContext& context) {
  if (options.method == PowerMethod::kSketchPublished) {
    return SolvePublished(a, b, options, context);
  }
  if (options.method == PowerMethod::kSeries) {
    return SolveSeries(a, b, options, context);
  }
  PhaseProgress progress(context);
  const ComputeContext inner{context.workers, context.stop, progress.Sink()};
  progress.Enter("scan", 0.0, 0.05);
  const auto stopped = [&](absl::Status status) -> absl::StatusOr<Solution> {
    if (!absl::IsAborted(status)) return status;
    return std::move(StoppedCallers(a, {{.b = {b, {}}, .status = {}}}, options,
                                    context.stop.reason())
                         .front());
  };
  const absl::StatusOr<ColumnScales> scales = ScanMatrix(a, "a", inner);
  if (!scales.ok()) return stopped(scales.status());
  const std::vector<Caller> callers = ScanCallers({&b, 1}, inner);
  if (!callers.front().status.ok()) return stopped(callers.front().status);
  progress.Enter("factor", 0.05, 0.4);
  const auto factor =
      MakePowerFactor(a, *scales, options, FactorGrade::kLadder, inner);
  if (!factor.ok()) return stopped(factor.status());
  return std::move(
      SolveCallers(**factor, a, callers, options, progress, inner).front());
}

Cost CostOfPowerRegression(const PowerShape& shape,
                           const PowerRegressionOptions& options, int workers) {
  if (options.method == PowerMethod::kSketchPublished) {
    return CostOfPublished(shape, options, workers);
  }
  const Index d = shape.d;
  const Index k = shape.k;
  const auto real = [](Index i) { return static_cast<double>(i); };
  const Index slice = std::min(k, SliceColumns());
  const bool exponential = options.family == PowerFamily::kMatrixExponential;
  const double levels = exponential ? 1.0 : options.exponent + 1.0;
  Cost cost = CostOfFactor(shape, options, workers);
  cost += CostOfSketchStep(shape, options, workers);
  // One more SVD (minimum norm, exponential) with its operands.
  cost.bytes += CostOfRightSvd(d).bytes + 48.0 * real(d) * real(d);
  cost.flops += 2.0 * CostOfRightSvd(d).flops;
  // z as hi + lo, rho, and the blocks that a certificate works with.
  cost.bytes += 8.0 * real(d) * real(slice) * (3.0 * levels + 16.0);
  cost.bytes += BytesOfPass(shape, slice, workers);
  // x, x_low, exponents, report.
  cost.bytes += (8.0 + 8.0 + 8.0) * real(d) * real(k) + 128.0 * real(k);
  // A level: some 3 plain passes and 2 in double-double (40 an entry each).
  cost.flops +=
      levels * real(k) * (100.0 * EntriesOf(shape) + 40.0 * real(d) * real(d));
  cost += CostOfIteration(shape, options, slice);
  cost.bytes += 65536.0;
  return cost;
}

}  // namespace steelyard
