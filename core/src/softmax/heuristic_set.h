// The heuristic for softmax: the universal set of p = 2 of the centred keys.
//
//   Softmax scores do not change when the same vector is taken from every key,
//   and what is left of the keys is what p = 2 weighs. Nothing is promised: a
//   large softmax score may belong to another key.
//
// SOURCE  NUMERICS N7.
#pragma once

#include "absl/status/statusor.h"
#include "steelyard/compute_context.h"
#include "steelyard/matrix_view.h"
#include "steelyard/universal_set.h"

namespace steelyard {

// options.function is Softmax. Sensitivities are those of p = 2 of the centred
// keys; exact is false, effective_epsilon is 1 (no score below 1 is sure to be
// found), method starts with "heuristic: ". `rows_before` is added to the row
// that an error names.
// COST    that of p = 2 and a float64 copy of the keys.
// ERRORS  InvalidArgument CONFLICTING_FIELDS: Softmax::kCertified: no such set
//         exists; a NaN or infinity. As FindUniversalSet.
absl::StatusOr<UniversalSet> FindSoftmaxSet(const AnyMatrixView& keys,
                                            Index rows_before,
                                            const UniversalSetOptions& options,
                                            const ComputeContext& context);

}  // namespace steelyard
