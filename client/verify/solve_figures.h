// What one right-hand side of a solve looks like from outside: recomputed from
// A, b and x alone, with LAPACK's answer beside it.
#pragma once

#include <limits>
#include <string>

#include "client/verify/wide_vector.h"

namespace steelyard::verify {

inline constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

// kUnknown: could not be computed here; `remark` says why.
struct SolveFigures {
  // As in client::SolveReport, in 80-bit arithmetic.
  double relative_residual = kUnknown;
  double excess_residual = kUnknown;  // Odd powers only.
  double residual_floor = kUnknown;
  double backward_error = kUnknown;       // Powers and exponential only.
  double componentwise_error = kUnknown;  // Kernel only.

  // |x - z| / |z|, z a solution refined with 80-bit residuals, and an estimate
  // of the error of z itself.
  double forward_error = kUnknown;
  double reference_error = kUnknown;

  // LAPACK in float64 and nothing else.
  std::string lapack_method;
  double lapack_residual = kUnknown;  // As the family is judged by.
  double lapack_error = kUnknown;     // |x_lapack - z| / |z|
  double difference = kUnknown;       // |x - x_lapack| / |x_lapack|

  std::string remark;

  // The residual that the family is judged by.
  double judged_residual() const {
    return excess_residual == excess_residual ? excess_residual
                                              : relative_residual;
  }
};

// Repeats solve(residual) -> correction from a first solution until the
// corrections no longer halve. `last` is the size of the last one, relative.
template <class Residual, class Correction>
ScaledVector Refined(ScaledVector x, const Residual& residual,
                     const Correction& correction, double* last) {
  constexpr int kStepsMax = 40;
  *last = std::numeric_limits<double>::infinity();
  for (int step = 0; step < kStepsMax; ++step) {
    ScaledVector update = correction(residual(x));
    const double size = NormRatio(update, x);
    if (!(size < *last / 2)) break;
    *last = size;
    update.mantissa = -update.mantissa;
    x = Difference(x, update);
    if (size < 0x1p-63) break;
  }
  return x;
}

}  // namespace steelyard::verify
