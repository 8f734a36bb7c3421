// Which preconditioner, of what rank: by some steps of each on a random
// right-hand side of the seed.
//
// METHOD  Two steps with Jacobi first: where they say that some ten are enough,
//   nothing is built. Then randomly pivoted Cholesky of rank sqrt(n (d + 2)),
//   whose flops are about those of two products, and of twice the rank while
//   the flops of the next one are less than two fifths of those of the steps
//   that are left with this one: what a doubling saves. A rank is probed until
//   that is decided, 4 to 16 steps by the price of the next.
//   Steps that are left: at the rate of sqrt(r'P^-1 r), from the residual that
//   was reached to 1e-8, whatever the tolerance of a solve is: right to a third
//   after 8 steps and a fifth after 12 (root mean square in the logarithm, 24
//   kernels, three ranks each). Tiles are float32 where 4 u_32 s|a - c|^2 <=
//   1e-2.
//   Never by the clock, never with b: the same rows, form, limits and seed give
//   the same choice, and so the same bits with a cached preconditioner.
//   Not tried: no preconditioner, as scaling to unit diagonal took at most 8 %
//   more steps and often a hundredth of them; a polynomial sketch, as pivots of
//   like rank took fewer steps but where rows are so short that all features
//   are monomials, and there it saves some products (preconditioner_benchmark
//   has both).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernel/scaled_system.h"
#include "preconditioner/preconditioner.h"

namespace steelyard {

struct PreconditionerLimits {
  // Memory of the preconditioner and of its making.
  double bytes = 1e9;
  // Columns of a factor; at least 1. Unset: n.
  std::optional<Index> max_rank;
  // Only this kind; its rank is grown while it pays. Unset: any.
  std::optional<KernelPreconditioner> kind;
};

struct PreconditionerChoice {
  std::shared_ptr<const Preconditioner> preconditioner;
  std::vector<PreconditionerTrial> trials;  // in the order they were made
  // Why, in a sentence with the numbers that decided.
  std::string reason;
  // Flops of it all over those of one product with one vector.
  double products = 0.0;
  // To a residual of 1e-8, from the probe.
  double iterations_expected = 0.0;
};

// ERRORS  as MakePreconditioner.
absl::StatusOr<PreconditionerChoice> ChoosePreconditioner(
    const PreconditionerSource& source, const PreconditionerLimits& limits,
    const ComputeContext& context);

// Steps until the residual is 1e-8, from the first ones of a probe.
double IterationsExpected(const std::vector<double>& residuals,
                          const std::vector<double>& norms);

// Whether float32 tiles are good enough for steps on S.
TilePrecision StepPrecision(const PreconditionerSource& source);

// Largest rank whose making stays below `bytes`, in [0, n].
Index LargestRank(double bytes, Index n, Index d, int workers);

}  // namespace steelyard
