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

// -infinity for a zero matrix. `closer`: where R is a preconditioner only, a
// solver whose MultiplyGram is that of A; then right to 1e-3 or so, else 1e-10.
// COST at most 128 products with R and R', some 3 to 24 passes over A.
// ERRORS  Cancelled, DeadlineExceeded, Aborted: the stop token.
absl::StatusOr<double> Log2LargestSingularValue(const Factor& factor,
                                                const GramSolver& solver,
                                                const GramSolver* closer,
                                                const ComputeContext& context);

}  // namespace steelyard
