// e^(A'A) x = b term by term: x = sum_k (-A'A)^k b / k!.
//
//   Terms grow to e^(s_1^2) |b| before they fall, and x may be as small as
//   e^(-s_1^2) |b|: the error of x is u e^(s_1^2 + s_d^2) at the worst, its
//   residual u e^(2 s_1^2). Where that leaves no digit and no number of terms
//   was asked for, nothing is summed up: x = 0, kIllConditioned.
//
// REPORT  that of the direct method (matrix_exponential.h), whose singular
//   values judge the sum; forward_error is the distance from the direct
//   answer, and the error of that. iterations: terms.
//   kPrecisionFloor   every term that counts was added, and the residual is
//                     above the tolerance
//   kIterationLimit   options.terms or max_iterations ended the sum before
//
// SOURCE  NUMERICS N2; [SYZ24] arXiv 2308.14304, section 1.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "power/residual_pass.h"
#include "steelyard/power_regression.h"

namespace steelyard {

// The sum for every column of b, scaled as b is.
struct SeriesSum {
  Matrix<double> x;            // d x k; zero where it left float64
  std::vector<int> terms;      // one a column
  std::vector<bool> complete;  // what was left out does not count
};

struct SeriesGoal {
  double s_1 = 0.0;  // largest singular value of A
  // Part of |b| that the residual may lose to terms left out.
  double tolerance = 0.0;
  // Exactly so many terms; 0: as many as the tolerance takes.
  int terms = 0;
  int terms_max = 1000;
};

// COST    one pass over A for each term.
// ERRORS  Cancelled, DeadlineExceeded, Aborted: the stop token.
absl::StatusOr<SeriesSum> SumSeries(const ScaledMatrix& a,
                                    const ScaledRightSides& b,
                                    const SeriesGoal& goal,
                                    const ComputeContext& context);

// As SolvePowerRegression, of kMatrixExponential.
absl::StatusOr<Solution> SolveSeries(const DenseOrCsr& a,
                                     const AnyMatrixView& b,
                                     const PowerRegressionOptions& options,
                                     const ComputeContext& context);

}  // namespace steelyard
