// Is every number of a matrix finite.
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "steelyard/compute_context.h"
#include "steelyard/matrix_view.h"

namespace steelyard {

// For right-hand sides and queries, and for blocks that are taken whole or not
// at all by several computations. `row_offset` is added to the row that an
// error names.
// COST    one pass over the numbers.
// ERRORS  InvalidArgument NOT_FINITE, field `field`, with the first bad entry
//         in row order. Cancelled, DeadlineExceeded: `context.stop`.
absl::Status CheckFinite(const AnyMatrixView& a, std::string_view field,
                         const ComputeContext& context, Index row_offset = 0);

}  // namespace steelyard
