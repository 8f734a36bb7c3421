// |x|^p and its norms over long vectors, without overflow for p up to 64 and
// for the dual exponents up to infinity.
#pragma once

#include "steelyard/matrix_view.h"

namespace steelyard {

// a^p for a >= 0. Integers and halves up to 64 by products and one square root
// (relative error (p + 2) u), other p by exp(p log a).
class AbsPower {
 public:
  explicit AbsPower(double p);
  double p() const { return p_; }

  double operator()(double a) const {
    if (whole_ < 0) return General(a);
    double power = half_ ? Root(a) : 1.0;
    for (int bits = whole_; bits != 0; bits >>= 1) {
      if ((bits & 1) != 0) power *= a;
      a *= a;
    }
    return power;
  }

 private:
  static double Root(double a);
  double General(double a) const;

  double p_;
  int whole_ = -1;  // floor(p), where p is an integer or a half
  bool half_ = false;
};

// p / (p - 1); infinite for p = 1.
double DualExponent(double p);

double LargestMagnitude(const double* x, Index count);

// sum |x_i / scale|^p. Partial sums of 1024 terms.
double SumOfPowers(const double* x, Index count, const AbsPower& power,
                   double scale);

// (sum |x_i|^p)^(1/p), p in [1, inf].
double PowerNorm(const double* x, Index count, double p);

// Bound on the relative error of a PowerNorm: 1024 + count / 1024 additions;
// powers to p u or, by exp(p log a), to u |p log a| where a^p counts at all;
// the root divides what the sum has by p.
double PowerNormError(Index count);

}  // namespace steelyard
