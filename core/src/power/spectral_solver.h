// (A'A)^j x = b in the coordinates of A'A: two products with V, whatever j, and
// no pass over A.
//
// METHOD  x = V S^-2j V'b. Its error, to first order, is what the header of
//   spectral_factor.h calls C V'b, known where F was measured; where it was
//   not, and for the roundings of the two products, its expected size is added:
//     |e|^2 = |(C t)_known|^2 + E|(C t)_rest|^2 + E|rounding|^2,  t = V'b.
//   Expected sizes are sums over many directions, or the column is not trusted.
//   The residual M x - b = V (S^2j V'x - t) is formed in float64: to within
//   some phi, and what F moves is added in the same way.
//
// SOURCE  NUMERICS N2; the error formula is derived in spectral_factor.h.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "linalg/block.h"
#include "power/certificate.h"
#include "power/spectral_factor.h"
#include "steelyard/compute_context.h"

namespace steelyard {

// What depends on S, F, N and j alone.
class SpectralPower {
 public:
  // `spectral` must outlive this. Not usable after a stop.
  SpectralPower(const SpectralFactor& spectral, int exponent,
                const ComputeContext& context);

  // False: S^2j does not fit float64 with room for squares, or j is so large
  // that first order is not enough.
  bool usable() const { return usable_; }

  struct Answer {
    // x = hi 2^exponents, rows as they are (not times the scales of A).
    Matrix<double> x;
    std::vector<int> exponents;
    Certificate certificate;
    // The column was not certified: its numbers mean nothing.
    std::vector<bool> untrusted;
  };

  // `b` is d x k, columns of norms in [1, 2) times 2^exponents, or zero.
  // Columns never meet.
  // COST    6 d^2 k + 4 m d k flops on one core.
  Answer Solve(const Matrix<double>& b,
               const std::vector<int>& exponents) const;

 private:
  struct Sums;

  void AddDirection(Index q);
  void FormLastRows(const Matrix<double>& b, Matrix<double>& t) const;
  void AddErrors(const Matrix<double>& t, const Matrix<double>& x,
                 Sums& sums) const;
  void Judge(const Sums& sums, Index c, Answer& answer) const;

  const SpectralFactor& spectral_;
  int exponent_;
  bool usable_ = false;
  Index d_, m_;
  std::vector<double> inverse_;  // s_p^-2j
  std::vector<double> power_;    // (s_p / s_1)^2j
  Matrix<double> below_;         // C, last m rows: m x d
  Matrix<double> beside_;        // C, last m columns of the rows above
  std::vector<double> rest_;   // a q: square of what the rest of C makes of t_q
  std::vector<double> moved_;  // a q: square of what S^2j C / s_1^2j does
  // Sum of s_p^-4j over the rows of V'b that are rounded.
  double inverse_square_ = 0.0;
  double directions_ = 0.0;       // in which that sum lies
  double rest_directions_ = 0.0;  // the same of what was not measured
};

}  // namespace steelyard
