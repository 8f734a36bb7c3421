// c = A'b for k columns to some 75 bits: one read of A, no residual, at the
// speed of three products of float64.
//
// Scaled coordinates, as in residual_pass.h.
//
// METHOD  Products of linalg/split_products.h, block of rows after block; at
//   most 64 slots by n and d alone, added by a fixed tree. Right-hand sides
//   stand side by side as wide as memory allows, which no bit shows.
//
// SOURCE  NUMERICS N1 ("one pass"); see linalg/split_products.h.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "power/residual_pass.h"

namespace steelyard {

struct Gradient {
  Matrix<double> hi;  // d x k
  Matrix<double> lo;  // d x k, what hi lost
  // A column each: |b|^2, and what the error of an entry of c is about, at
  // most (not a bound: for roundings of random signs).
  std::vector<double> squares;
  std::vector<double> rounding;
};

// `a` is dense.
// COST    6 n d k flops.
// MEMORY  BytesOfGradientPass, for up to GradientColumns columns.
// ERRORS  Cancelled, DeadlineExceeded, Aborted: the stop token, looked at
//         between blocks of at most 4e8 flops.
absl::StatusOr<Gradient> GradientPass(const ScaledMatrix& a,
                                      const ColumnSlice& b,
                                      const ComputeContext& context);

// How many columns to give it together, and the most that this ever is.
inline constexpr Index kGradientColumnsMost = 240;
Index GradientColumns(Index n, Index d);

double BytesOfGradientPass(Index n, Index d, Index k, int workers);

}  // namespace steelyard
