// log2 ||A||_2 from the scaled R, with columns of any size.
//
// METHOD  Lanczos on (R S)'(R S) with full reorthogonalisation, S divided by
// its
//   largest power of two. What is returned is theta + |last residual|, which
//   does not fall below the eigenvalue by more than the start vector (random,
//   fixed seed) misses it.
//
// SOURCE  Parlett, The Symmetric Eigenvalue Problem, ch. 13.
#pragma once

#include "absl/status/statusor.h"
#include "power/gram_solver.h"

namespace steelyard {

// -infinity for a zero matrix. COST at most 128 products with R and R'.
// ERRORS  Cancelled, DeadlineExceeded, Aborted: the stop token.
absl::StatusOr<double> Log2LargestSingularValue(const Factor& factor,
                                                const GramSolver& solver,
                                                const ComputeContext& context);

}  // namespace steelyard
