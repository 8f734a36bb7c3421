// Keys in coordinates in which they are well conditioned: x_j = R^-T k_j, or
// S_r^-1 V_r' k_j for keys of rank r < d. Sensitivities do not depend on the
// coordinates; everything of this room works in these.
//
// SOURCE  NUMERICS N4, N7.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "steelyard/compute_context.h"
#include "steelyard/matrix.h"
#include "universal_set/keys.h"

namespace steelyard {

struct WhitenedKeys {
  // n x r. Rows of keys that the rank rule of N4 calls a new direction are
  // zero: their own sensitivity is 1, and a denominator without them bounds the
  // sensitivities of the others from above.
  Matrix<double> x;
  std::vector<double> norms;  // ||x_j||, to rounding
  // Every computed row is within row_error ||x_j|| of the exact one.
  double row_error = 0.0;
  // Bounds on the singular values of x; 0 and infinity: not known, and then
  // nothing can be certified.
  double smallest_singular_value = 0.0;
  double largest_singular_value = 0.0;

  Index rows() const { return x.rows(); }
  Index rank() const { return x.cols(); }
  bool certifiable() const { return smallest_singular_value > 0.0; }
};

// SHAPES   keys: n x d, as factored, of rank >= 1.
// COST     n d^2 + n r^2 flops; memory n r words.
// ERRORS   Cancelled, DeadlineExceeded, Aborted.
absl::StatusOr<WhitenedKeys> WhitenKeys(const AnyMatrixView& keys,
                                        const FactoredKeys& factored,
                                        const ComputeContext& context);

}  // namespace steelyard
