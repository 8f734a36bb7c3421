// min ||A (A'A)^j x - b|| in the coordinates of A'A: one read of A, for c = A'b
// (gradient_pass.h); then products with V alone.
//
// METHOD  With t = V'c and the exact inverse that spectral_factor.h keeps,
//     w_1 = (S^-2 + first) t,  w_i = (S^-2 + next) w_(i-1),  x = V w_(j+1).
//   t, w and x are formed as hi + lo; every number of w is right to some 70
//   bits of its own, so x is the rounded solution but for what the roundings of
//   A'A and of c do, e_G and e_c (their sizes are known, not they). With r = x
//   - fl(x), which is known,
//     |error|^2 = |r|^2 + E|C e_G C .. t|^2 + E|S^-2(j+1) e_c|^2
//   (first order, as in spectral_factor.h). Expected sizes are sums over many
//   directions, or small, or the column is not trusted. With s for S:
//     excess = |R (A'A)^j error|, of r: |s^(2j+1) V'r|,
//     |b - M fl(x)|^2 = |b|^2 - t'w_1 - ridge |w_1|^2 + excess^2
//   (|b - A y|^2 = |b|^2 - 2 c'y + y'A'A y, and (A'A + ridge) y = c for y = V
//   w_1). That is a difference: where little is left of |b|^2 it is not told,
//   and A must be read again.
//
// SOURCE  NUMERICS N2; derived here and in spectral_factor.h.
#pragma once

#include <vector>

#include "linalg/split_products.h"
#include "power/gradient_pass.h"
#include "power/spectral_factor.h"
#include "power/spectral_solver.h"

namespace steelyard {

// What depends on the SpectralFactor and j alone.
class OddPower {
 public:
  struct Power {
    int exponent = 0;    // j
    double ridge = 0.0;  // times 2^-2 shift of the SpectralFactor
  };

  // `spectral` must outlive this.
  OddPower(const SpectralFactor& spectral, const Power& power);

  // False: the inverse is not known so well, or S^(2j+2) does not fit float64
  // with room for squares.
  bool usable() const { return usable_; }

  // `count` columns of `c` from `first` on; exponents of those columns of b.
  struct Columns {
    const Gradient& c;
    Index first;
    Index count;
    const int* b_exponents;
  };

  struct Answer {
    SpectralPower::Answer solution;
    // relative_residual and backward_error could not be told: they are those of
    // A y, y for the columns of b without their exponents and times 2^shift.
    std::vector<bool> residual_unknown;
    Matrix<double> y;  // d x count, if any is unknown
    // Exponent 0, for least_squares_error.h, in scaled coordinates and for the
    // columns of b without their exponents (ridge l: A is [A; sqrt(l) I]):
    Matrix<double> gradient;              // A'r, but for what is only expected:
    std::vector<double> expected_excess;  // of |R^-T A'r|
    std::vector<double> z_norms;          // |z|
    std::vector<double> ridge_squares;    // l |x|^2
  };

  // Columns never meet.
  // COST    (28 + 2 j) d^2 k flops on one core.
  Answer Solve(const Columns& columns) const;

 private:
  struct Pair;
  struct Sums;

  void LoadGradient(const Columns& columns, Pair& c) const;
  void FirstLevel(const Pair& t, Pair& w, Sums& sums) const;
  void NextLevel(Pair& w) const;
  void Divide(const Pair& t, Pair& w) const;
  void AddToLevel(const Matrix<double>& operand, const Matrix<double>& of,
                  Pair& w) const;
  void AddRoundings(const Pair& x, Matrix<double>& turned, Sums& sums) const;
  void AddLeastSquares(Matrix<double> turned, const Sums& sums,
                       const Columns& columns, Answer& answer) const;
  double MovedExcess(const Sums& sums, const Columns& columns, Index c) const;
  void Judge(const Sums& sums, const Columns& columns, Index c,
             Answer& answer) const;

  const SpectralFactor& spectral_;
  Power power_;
  bool usable_ = false;
  Index d_;
  std::vector<double> inverse_;    // s_p^-2
  std::vector<SplitStrips> v_;     // V, block of rows after block
  std::vector<SplitStrips> turn_;  // V', the same
  // Squares of what an error of A'A of size gram_rounding makes of t_q, in the
  // error and in the excess.
  std::vector<double> of_gram_, excess_of_gram_;
  // The same of an error of c of size 1 in every entry.
  double of_c_ = 0.0, excess_of_c_ = 0.0;
  double directions_ = 0.0;  // in which such errors lie
};

// Memory of an OddPower and of Solve for `count` columns on every worker,
// answers apart.
double BytesOfOddPower(Index d, Index count, int workers);

}  // namespace steelyard
