// f = sum_i c_i |x|^{p_i} where |x|^p may leave float64: sums of powers
// relative to a power of two that follows the largest x.
//
// SOURCE  NUMERICS N7, N8.
#pragma once

#include <array>
#include <vector>

#include "steelyard/matrix_view.h"
#include "steelyard/score_function.h"

namespace steelyard {

// Power and PowerSum alike; not softmax.
std::vector<PowerTerm> TermsOf(const ScoreFunction& function);

// x^p for x >= 0, p >= 0: products for whole p, a root more for halves.
// Relative error at most PowerRoundoff(p).
double PositivePower(double x, double p);
double PowerRoundoff(double p);

// sum_u (scale |x_u|)^p. Relative error at most PowerRoundoff(p) + count u.
double SumOfPowers(const double* x, Index count, double scale, double p);

// Terms of f and one more, |x|^2.
inline constexpr std::size_t kSumsMax = 17;

// sums[i] = sum over the products t seen so far of (2^-shift |t|)^{p_i}, the
// last one with p = 2; shift such that the largest is in [1/2, 1).
struct PowerSums {
  int shift = 0;
  double largest = 0.0;     // |t|
  double key_square = 0.0;  // sum of |k|^2
  Index count = 0;
  std::array<double, kSumsMax> sums = {};

  double squares(const std::vector<PowerTerm>& terms) const {
    return sums[terms.size()];
  }
};

// shift of PowerSums for this |t| > 0.
int ShiftOf(double largest);

// The products of one query with `count` keys of the given norms.
void AddPowers(const std::vector<PowerTerm>& terms, const double* products,
               const double* key_norms, Index count, PowerSums* sums);

// Both together. Deterministic: callers merge in a fixed order.
void MergePowers(const std::vector<PowerTerm>& terms, const PowerSums& other,
                 PowerSums* sums);

// The shift becomes that of a product as large as `largest`, if that is larger.
void RaiseShift(const std::vector<PowerTerm>& terms, double largest,
                PowerSums* sums);

// f(2^x t) = 2^exponent sum_i weights[i] (2^-shift |t|)^{p_i}, weights <= 1.
class ScaledFunction {
 public:
  // Products t are those of a query scaled by 2^-query_exponent.
  ScaledFunction(const std::vector<PowerTerm>& terms, int query_exponent,
                 int shift);

  double operator()(double t) const;
  // values[u] := of t[u].
  void Evaluate(const double* t, Index count, double* values) const;
  const std::vector<PowerTerm>& terms() const { return *terms_; }
  double weight(std::size_t i) const { return weights_[i]; }
  int exponent() const { return exponent_; }
  // Of weights and powers, relative.
  double roundoff() const { return roundoff_; }

 private:
  const std::vector<PowerTerm>* terms_;
  double scale_;
  int exponent_ = 0;
  double roundoff_ = 0.0;
  std::array<double, kSumsMax> weights_ = {};
};

// [lower, upper].
struct Interval {
  double lower = 0.0;
  double upper = 0.0;
};

// What the sums say about sum f(<q, k>) over their keys, times 2^-exponent: the
// rounding of the products included, |t~ - t| <= rounding |k| for each key.
//   | ||t~||_p - ||t||_p | <= ||t~ - t||_p                        (Minkowski)
//                          <= rounding ||K||_F max(1, n^{1/p - 1/2}).
// `value`: by the products as they are.
struct SumOfScores {
  double value = 0.0;
  Interval interval;
};
SumOfScores ScoresOf(const PowerSums& sums, const ScaledFunction& function,
                     double rounding);

}  // namespace steelyard
