// The right-hand sides of several callers through the levels side by side.
//
// Columns of all callers are cut into slices of one width; what a column is
// given does not depend on who stands beside it (column_products.h, levels.h),
// so its bits are those that it gets alone.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "power/phase_progress.h"
#include "power/power_factor.h"
#include "power/residual_pass.h"
#include "steelyard/power_regression.h"

namespace steelyard {

// Right-hand sides of one caller, scanned; or what was wrong with them.
struct Caller {
  ScaledRightSides b;
  absl::Status status;
};

// ERRORS  in `status`: InvalidArgument NOT_FINITE, field "b"; the stop token.
std::vector<Caller> ScanCallers(absl::Span<const AnyMatrixView> bs,
                                const ComputeContext& context);

// One answer a caller, or its error. `factor` is that of `a`. `progress` has
// the rest of its way before it.
std::vector<absl::StatusOr<Solution>> SolveCallers(
    const PowerFactor& factor, const DenseOrCsr& a,
    const std::vector<Caller>& callers, const PowerRegressionOptions& options,
    PhaseProgress& progress, const ComputeContext& context);

// x = 0 for every caller without an error: stopped before there was an R.
std::vector<absl::StatusOr<Solution>> StoppedCallers(
    const DenseOrCsr& a, const std::vector<Caller>& callers,
    const PowerRegressionOptions& options, StopReason why);

// Right-hand sides that go through the levels together.
Index SliceColumns();

}  // namespace steelyard
