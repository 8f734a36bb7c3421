// What proves a sensitivity: any y from below, any z from above.
//
//     |<x_j, y>|^p / ||X y||_p^p  <=  sigma_j
//         <=  (||z||_q + m ||X^+|| ||x_j - X'z||)^p,   q = p / (p - 1),
//     m = n^max(0, 1/2 - 1/p)
//
// METHOD  Hoelder: <x_j, y> = <z, X y> + <x_j - X'z, y>; the second term is
//   taken up by z + X (X'X)^-1 (x_j - X'z). Rounding of x, of the products and
//   of the norms is bounded and goes outward.
//
// SOURCE  NUMERICS N7.
#pragma once

#include <vector>

#include "sensitivity/whitened_keys.h"
#include "steelyard/stop_token.h"

namespace steelyard {

class PowerCertificate {
 public:
  // p in [1, 64]; `keys` certifiable, and kept by reference.
  PowerCertificate(const WhitenedKeys& keys, double p);

  double p() const { return p_; }
  double q() const { return q_; }

  // What a query y proves about all keys at once.
  struct Witness {
    double norm = 0.0;   // upper bound on ||X y||_p
    double slack = 0.0;  // |<x_i, y>| >= |t_i| - slack ||x_i||
  };
  // t = fl(X y).
  Witness WitnessOf(const double* y, const double* t) const;
  // sigma_j >= this, t_j = fl(<x_j, y>).
  double LowerEnd(const Witness& witness, Index j, double t_j) const;

  // sigma_j <= this. z (n numbers) is first moved to X'z = x_j, as nearly as
  // one step gets it. COST 6 n r flops.
  double UpperEnd(Index j, const StopToken& stop, double* z) const;

  // sigma_j of the exact keys is at most this times that of the computed rows.
  double transfer() const { return transfer_; }

  // ||y||_2 = 1 has ||X y||_p >= 1 / this: n^max(0, 1/2 - 1/p) / sigma_min.
  double longest() const { return longest_; }
  // ||X y||_p <= this ||y||_2: n^max(0, 1/p - 1/2) sigma_max.
  double widest() const { return widest_; }

 private:
  const WhitenedKeys& keys_;
  double p_;
  double q_;
  double row_error_;  // of a row and of a product with it
  double norm_sum_;   // (sum ||x_i||^p)^(1/p)
  double longest_;
  double widest_;
  double transfer_;
};

}  // namespace steelyard
