// R of a QR of S A, columns scaled as everywhere (factor/factor.h).
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "factor/factor.h"
#include "steelyard/compute_context.h"
#include "steelyard/cost.h"
#include "steelyard/sketch.h"

namespace steelyard {

struct SketchedTriangle {
  // R'R = (S A)'(S A) + l; scales, rank and condition are those of R.
  Factor factor;
  // l 4^-exponents; empty for l = 0.
  std::vector<double> ridge_diagonal;
  // sqrt(d / s), the distortion that the theory of Gaussian sketches gives;
  // 0 where A itself stands for S A.
  double distortion = 0.0;
};

// `scales`: of the columns of A.
// ERRORS  those of ApplySketch.
absl::StatusOr<SketchedTriangle> SketchTriangle(const DenseOrCsr& a,
                                                const ColumnScales& scales,
                                                const SketchPlan& plan,
                                                double ridge,
                                                const ComputeContext& context);

Cost CostOfSketchedTriangle(const SketchPlan& plan, Index n, Index d,
                            Index nonzeros, int workers);

}  // namespace steelyard
