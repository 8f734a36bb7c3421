// Is a Gram worth making? A guess from a sample of rows.
#pragma once

#include "absl/status/statusor.h"
#include "steelyard/compute_context.h"
#include "steelyard/matrix_view.h"

namespace steelyard {

// Whether 4 d rows, taken evenly, have a condition number above
// `condition_max` (columns scaled). It decides what is tried first, nothing
// else: a sample can be far worse than A, and better. False where a column of
// the sample is zero, or where A has not many more rows.
//
// COST    13/3 d^3 flops.
// RANDOM  none.
// ERRORS  Cancelled, DeadlineExceeded, Aborted: the stop token.
absl::StatusOr<bool> LooksIllConditioned(const AnyMatrixView& a,
                                         double condition_max,
                                         const ComputeContext& context);

}  // namespace steelyard
