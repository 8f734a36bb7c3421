// Logits of a page of keys, and sums of exponentials, in float64.
//
// METHOD  A page holds kPageKeys keys coordinate by coordinate, so that one
//   vector of keys meets one coordinate of a query: no sums across lanes, and
//   every logit is added up in the order of the coordinates, whichever queries
//   are scored beside it. Google Highway, target chosen at run time.
#pragma once

#include <cstdint>

#include "steelyard/matrix_view.h"

namespace steelyard {

inline constexpr Index kPageKeys = 32;

// logits[i * kPageKeys + l] = sum_c queries[i][c] page[c * kPageKeys + l]. Each
// carries an error of at most (d + 1) u sum_c |q_c k_c|.
void PageLogits(const double* const* queries, Index count, const float* page,
                Index d, double* logits);
void PageLogits(const double* const* queries, Index count, const double* page,
                Index d, double* logits);

// -infinity for count = 0.
double LargestOf(const double* x, Index count);

// Bit l is set where x[l] >= least, l < kPageKeys.
std::uint32_t AtLeast(const double* x, double least);

// What SumOfPageMasses reads: arrays with one number a page.
struct PageMasses {
  const double* upper = nullptr;
  const double* log_mass = nullptr;
  const double* radii = nullptr;
  const double* spreads = nullptr;
  Index pages = 0;
  double norm = 0.0;
  double upper_shift = 0.0;
  double mass_shift = 0.0;
};

// sum over pages of the smaller one of
//     exp(upper + upper_shift),
//     exp(t) max(0, 1 - b - b R) + b exp(t + R),   t = log_mass + mass_shift,
// R = norm radius, b = spread; the first one where log_mass is -infinity. No
// exponent counts for more than 600.
double SumOfPageMasses(const PageMasses& masses);

// sum exp(x - shift), each x <= shift; -infinity gives 0. Each term is right to
// (2 + |x - shift|) u, plus what the sum of `count` terms rounds.
double SumOfExponentials(const double* x, Index count, double shift);

}  // namespace steelyard
