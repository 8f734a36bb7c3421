// e^(A'A) x = b by the singular values of R.
//
// METHOD  R S = U diag(s) V', A'A = V diag(s^2) V' with the full d x d V:
//     x = e^(-s_d^2) V diag(e^(-(s_i - s_d)(s_i + s_d))) V'b.
//   The factor e^(-s_d^2) goes to x_exponents. n < d: s_d = 0, and the part of
//   b outside the row space stays as it is. Residuals are sums of logarithms,
//   so that e^(s_1^2) never overflows.
//
// SOURCE  NUMERICS N2. Forward error: Duhamel's formula,
//     e^-(H+E) - e^-H = - int_0^1 e^-((1-t)(H+E)) E e^-(tH) dt, H = A'A,
//     E = R'D + D'R, ||D|| <= c u s_1.
#pragma once

#include "steelyard/power_regression.h"

namespace steelyard {

// Arguments, cost and errors as SolvePowerRegression.
absl::StatusOr<Solution> SolveMatrixExponential(
    const AnyMatrixView& a, const AnyMatrixView& b,
    const PowerRegressionOptions& options, const ComputeContext& context);

}  // namespace steelyard
