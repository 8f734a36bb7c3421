// A'A in its own coordinates, for even powers that do not read A.
//
//     V'A'AV = S (I + F) S,   V'V = I + N,   F and N small and known
//
// METHOD  V, S by the SVD of an R of QR grade, in the coordinates of A (column
//   scales undone), and one step of [OA18] in double-double, which leaves of
//   the SVD's errors only the roundings of V. Whatever V and S are, A'A = V^-T
//   S (I + F) S V^-1 holds exactly, so that to first order in F and N
//     (A'A)^-j = V [S^-2j - C] V',
//     C_pq = F_pq h_(j-1) / (s_p s_q) - N_pq h_(j-2) / (s_p s_q)^2,
//     h_i = sum of a^l b^(i-l) over l = 0 .. i,  a = s_p^-2, b = s_q^-2
//   (every factor is V S^-1 (I - F) S^-1 V', every inner V'V is I + N).
//   So the error of V S^-2j V'b, |C V'b|, is known without A where F is. F is
//   measured with A'A to 75 bits (sparse A: with A in double-double, for the m
//   smallest singular values only). What even powers use of it is m rows: for
//   generic b most of what counts lies there. Elsewhere its size follows from
//   that: R is off by some E, so F_pq is about e (s_p^-2 + s_q^-2)^(1/2), with
//   e_q as measured in column q of F, and e^2 = e_p e_q between them.
//   Of the directions measured s is the Rayleigh quotient |A v|.
//
// SOURCE  Derived here; the formula of the inverse is that of N2, "all
//   exponents at once". [OA18] Ogita, Aishima, Iterative refinement for
//   symmetric eigenvalue decomposition, Japan J. Indust. Appl. Math. 2018.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "factor/factor.h"
#include "power/residual_pass.h"

namespace steelyard {

struct SpectralFactor {
  Matrix<double> v_transposed;  // d x d, row i is v_i
  // Descending, times 2^-shift: the last one lies in [1, 2).
  std::vector<double> s;
  int shift = 0;
  Index measured = 0;                   // m
  Matrix<double> f;                     // m x d: rows d - m, ..., d - 1 of F
  Matrix<double> n;                     // m x d: of N
  std::vector<double> backward_errors;  // e_q, d of them
  // Dense A: all of F and N, as what they make of the inverse,
  //   (A'A)^-1 = V (S^-2 + first) V',   (A'A)^-1 V = V (S^-2 + next),
  // exact but for what is of second order in the roundings of V and of A'A.
  // Empty: not known.
  Matrix<double> first;  // d x d: S^-1 [(I + F)^-1 - I] S^-1
  Matrix<double> next;   // d x d: first (I + N) + S^-2 N
  // About the size of the error of an entry of A'A, without the scales of A
  // and times 2^-2 shift, over scales_i scales_j.
  double gram_rounding = 0.0;
  std::vector<double> scales;  // 2^(exponent of column i - shift)

  std::int64_t bytes() const;
};

// `factor` is one of QR grade of `a` (same exponents), with its ridge.
// Unset: V S^-2j V'b would not be trusted (rank < d, d < 8, a condition number
// beyond 1e7, an F that is not small).
// ERRORS  Cancelled, DeadlineExceeded, Aborted: the stop token.
absl::StatusOr<std::optional<SpectralFactor>> MakeSpectralFactor(
    const ScaledMatrix& a, const Factor& factor,
    const std::vector<double>& ridge_diagonal, const ComputeContext& context);

// How many directions are kept for even powers. By n and d alone.
Index DirectionsToMeasure(Index n, Index d);

}  // namespace steelyard
