// How far the answer of a power regression can be trusted.
//
// METHOD  With rho_i = y_{i-1} - A'A y_i measured in double-double,
//     b - M x = rho_1 + A'A (rho_2 + A'A (rho_3 + ...))          (even)
//   (telescoping sum: the y_i cancel), so the residual of the whole power costs
//   no pass over A beyond those that gave the rho_i: R'R stands for A'A in
//   front of quantities that are already as small as the residual. Odd: with
//   s = A'(b - A y_0) and r the sum above for y_0 in place of b,
//     R^-T A'(b - M x) = R ((A'A)^-1 s + r),   b - M x = (b - A y_0) + A r.
//   Forward error: e_i = (A'A)^-1 (e_{i-1} + rho_i), e_0 = 0 or (A'A)^-1 s.
//
// SOURCE  NUMERICS N2; the telescoping sum is derived here.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "power/levels.h"

namespace steelyard {

// One entry a right-hand side; solution.h names the ratios.
struct Certificate {
  std::vector<double> relative_residual;
  std::vector<double> excess_residual;  // odd only
  std::vector<double> residual_floor;
  std::vector<double> backward_error;
  std::vector<double> optimality;
  std::vector<double> forward_error;
  // Odd, exponent 0 only: least_squares_error.h.
  std::vector<double> least_squares_backward_error;
};

struct Format {
  double log2_unit;  // -53; extended output: -106
  double log2_norm;  // log2 ||A||_2 (ridge included)
  // No work of d^3: least_squares_backward_error is 1, which is always true.
  bool in_haste = false;
};

// Of the levels as they stand. b = 0: zeros.
// ERRORS  Cancelled, DeadlineExceeded, Aborted: the stop token.
absl::StatusOr<Certificate> Certify(const PowerProblem& problem,
                                    const Levels& levels, const Format& format,
                                    const ComputeContext& context);

}  // namespace steelyard
