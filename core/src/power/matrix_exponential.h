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

#include <vector>

#include "absl/status/status.h"
#include "factor/factor.h"
#include "power/power_factor.h"
#include "power/residual_pass.h"
#include "steelyard/power_regression.h"

namespace steelyard {

struct SeriesSum;  // power/series.h

// The way to R for columns of these scales; unset: the ladder.
std::optional<FactorMethod> FactorMethodOfExponential(
    const ColumnScales& scales, std::optional<PowerMethod> method);

// R S = U diag(s) V' for the R of n rows.
// ERRORS  Cancelled, DeadlineExceeded, Aborted: the stop token.
absl::StatusOr<ExponentialBasis> MakeExponentialBasis(
    const Factor& factor, Index n, const ComputeContext& context);

// x of all columns of `b`, scanned; `factor` has a basis. Errors of the stop
// token, and x = 0 where it wants the best answer. Columns never meet.
// `series`: a sum of the series (series.h) to be judged and returned instead.
absl::StatusOr<Solution> ApplyMatrixExponential(
    const PowerFactor& factor, const ScaledRightSides& b,
    const PowerRegressionOptions& options, const ComputeContext& context,
    const SeriesSum* series = nullptr);

}  // namespace steelyard
