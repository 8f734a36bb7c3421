// What the residual of a kernel regression certifies.
//
//   omega             max_i |r_i| / ((M|x|)_i + |b_i|)      componentwise
//   relative_residual |r| / |b|
//   floor  phi        u |M|x|| / |b|
//   backward_error    |r| / (|M|x|| + |b|): at least |r| / (|M||x| + |b|), M
//   has
//                     no negative entry
//   error             |e| / |b|, e_i a bound on the rounding errors of r_i,
//   those
//                     of the logits included
//
// `error` is what keeps CONVERGED from being false: relative_residual + error
// bounds the residual in exact arithmetic. Its constants are those of the usual
// random-walk model of rounding (d terms: 4 sqrt(d) u, at most d u), not of the
// worst case; DotErrorConstant.
//
// SOURCE  NUMERICS N3. Higham, Mary, A new approach to probabilistic rounding
//   error analysis, SIAM J. Sci. Comput. 2019.
#pragma once

#include <vector>

#include "kernel/scaled_vector.h"
#include "steelyard/solution.h"

namespace steelyard {

inline constexpr double kUnitRoundoff = 0x1p-53;
// Error of a sum over n rows in tiles of at most 256, with its exponentials and
// scalings, in units of u times the sum of sizes.
double SumErrorConstant(Index n);
// Error of a dot product of d terms, in units of u |a||b|.
double DotErrorConstant(Index d);

// One right-hand side, in the units of b or of b times any one number.
struct ResidualRows {
  ScaledVector residual;
  ScaledVector magnitude;  // M|x|
  ScaledVector rhs;
  ScaledVector error;
};

struct Certificate {
  double relative_residual = 0.0;
  double floor = 0.0;
  double omega = 0.0;
  double backward_error = 0.0;
  double error = 0.0;
  // max_i e_i / ((M|x|)_i + |b_i|): 1 says that a row of M has no digit.
  double row_error = 0.0;
  // |r_i| <= e_i for every i.
  bool within_error = false;
};

// Of x = 0.
inline constexpr Certificate kNoAnswerCertificate = {
    .relative_residual = 1.0, .omega = 1.0, .backward_error = 1.0};

Certificate Certify(const ResidualRows& rows);

// N3: the residual is not <= tolerance, but as small as the logits define it.
// `logit_max` is L.
bool AtPrecisionFloor(const Certificate& certificate, double logit_max);

// The residual in exact arithmetic is <= tolerance.
bool IsConverged(const Certificate& certificate, double tolerance);

}  // namespace steelyard
