// Which preconditioner, of what rank: by some steps of each on a random
// right-hand side of the seed.
//
// METHOD  A step or two with Jacobi first: where they say that some ten are
//   enough, nothing is built. Then a factor of each family that costs half a
//   product: randomly pivoted Cholesky, and the monomials of the polynomial
//   sketch up to a level (none where s|a - c|^2 > 30; without the sketched
//   rest). They step side by side, which costs little more than one; of the two
//   the one that is expected to take less work is kept, if it does not leave
//   far more of the diagonal than the other: the first steps are good to those
//   that leave much.
//   Then what promises most, of 1.4, 2 and 4 times the pivots and one more
//   level: the steps of the last factor of its kind in proportion to what is
//   left of the diagonal (known for monomials; with pivots as their last
//   doubling changed it), to the power of 1 + 2 left, but no fewer than what it
//   leaves beside the choice allows; until nothing saves more than it costs,
//   four steps of probing with it. A factor steps 2 times where the next one
//   pays by far, once where none would pay if it takes 1.3 times the steps that
//   it promised, else 4 to 16 times by the steps that are expected and the
//   price of the next.
//   Work is counted in products: flops of a factor in float64 count twice where
//   tiles are float32, and a factor that does not fit into a cache is paid for
//   at every step. Steps that are expected: at the rate of sqrt(r'P^-1 r) in
//   the later half of those that were made, from the residual that was reached
//   to 1e-8, whatever the tolerance of a solve is.
//   Never by the clock, never with b: the same rows, form, limits and seed give
//   the same choice, and so the same bits with a cached preconditioner.
//   On 24 kernels with five seeds (preconditioner_benchmark; the constants were
//   set with two of them): in the mean 0.83 of 1.3 times the best single choice
//   and 10, above 1 in 4 of 120, 1.10 at most: always the kernel of lengths
//   from 0.01 to 5. Not tried: no preconditioner, as scaling to unit diagonal
//   took at most 8 % more steps and often a hundredth of them; sketches of
//   higher levels, whose noise costs more steps than they save unless they have
//   as many columns as the levels (n = 16384, d = 64, row norm 1: 83 steps with
//   the 65 monomials, 503 before with one sketched column more).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernel/scaled_system.h"
#include "preconditioner/preconditioner.h"

namespace steelyard {

struct PreconditionerLimits {
  // Memory of the preconditioner and of its making by one worker, that of the
  // other kind included: the choice does not depend on their number.
  double bytes = 1e9;
  // Columns of a factor; at least 1. Unset: n.
  std::optional<Index> max_rank;
  // Only this kind; its rank is grown while it pays. Unset: any.
  std::optional<KernelPreconditioner> kind;
  // Where Jacobi is not enough: the product may keep its tiles, also for what
  // comes after.
  bool keep_tiles = false;
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

// Steps until the residual is 1e-8, from the first ones of a probe: optimistic
// by up to a few times where only few directions were taken away.
double IterationsExpected(const std::vector<double>& residuals,
                          const std::vector<double>& norms);

}  // namespace steelyard
