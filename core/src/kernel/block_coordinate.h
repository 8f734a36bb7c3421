// Block coordinate descent on S z = c, whose epochs are the directions of
// flexible conjugate gradients (block_epochs.h): for n where neither a product
// nor a preconditioner of enough rank is cheap.
//
// METHOD  An epoch goes through a random partition of the unknowns, 8 sqrt(n)
//   at a time; S_BB is factored as it comes, damped by what rounding asks for.
//   In cycles, as in conjugate_gradient.h: each starts from the residual that
//   is recomputed in float64 from A and runs on the recurrence until that is as
//   small as the errors of its tiles have made it doubtful. Float32 tiles while
//   they are allowed, until a cycle that used them up did not halve the
//   residual; then float64. The error falls in the norm of S; the residual need
//   not, and the result is the best z whose residual was recomputed. The last
//   residual carries the certificate.
//
// SOURCE  Rathore, Frangella, Yang, Derezinski, Udell, arXiv 2407.10070
//   (ASkotch): blocks and damping. In place of its momentum, whose parameters
//   must be known, directions that are conjugate by measurement: Notay, SIAM J.
//   Sci. Comput. 2000.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "kernel/block_epochs.h"
#include "kernel/conjugate_gradient.h"

namespace steelyard {

struct BlockCoordinateOptions {
  double tolerance = 1e-8;
  int max_epochs = 1000;
  std::uint64_t seed = 0;
};

struct BlockCoordinateResult {
  ConjugateGradientResult solved;  // iterations: epochs
  double condition = 0.0;          // of S, from below
};

// COST    2 n^2 (d + k) flops and n^2 exponentials an epoch, n b^2 / 3 flops to
//         factor blocks of b; a product in float64 a cycle; memory
//         n (d / 2 + 80 k) + b^2 words.
// RANDOM  the partitions, by the seed.
// ERRORS  Cancelled, DeadlineExceeded: the stop token.
absl::StatusOr<BlockCoordinateResult> SolveBlockCoordinate(
    ScaledSystem& system, const Matrix<double>& c,
    const BlockCoordinateOptions& options, const ComputeContext& context);

}  // namespace steelyard
