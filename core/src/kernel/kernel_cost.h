// What a kernel regression takes, and which road is the cheaper one: by counted
// work, never by the clock.
#pragma once

#include "steelyard/attention_kernel_regression.h"
#include "steelyard/cost.h"

namespace steelyard {

// Up to here n^2 numbers may be stored when nobody names a method.
inline constexpr Index kDenseRowsMax = 8192;

// The method that is named, or the one that n alone decides.
KernelMethod MethodBySize(Index n, const AttentionKernelOptions& options);

// Columns of a low-rank preconditioner whose rank nobody names.
Index DefaultRank(Index n);

}  // namespace steelyard
