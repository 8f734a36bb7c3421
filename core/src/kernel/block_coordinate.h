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
// WHEN    Seconds of two cores until |r| / |b| was 1e-2, 1e-4, 1e-6, and epochs
//   or iterations; against conjugate gradients with the preconditioner that is
//   chosen automatically (its probing counted). UNIT_DIAGONAL, normal rows and
//   one normal b, ridge 0.01; EPYC with AVX-512; "-": not within the time that
//   was given.
//
//     n        d, norm          blocks                     conjugate gradients
//     20,000   32, 2             1.0  1.8  3.1   26        0.7  1.0   1.4   21
//     20,000   32, 2 (1e-4)      0.9  1.7  3.1   26        0.7  1.0   1.4   22
//     20,000   32, 1             2.1  4.4  6.3   51        0.9  1.6   2.3   43
//     20,000    4, 3             2.7  5.2   -  > 100       1.9  2.9   4.2  161
//     50,000   32, 2 (1e-4)      6.7   13        20        5.7  8.8         25
//     50,000    4, 3              15    -      > 59          -    -      > 138
//     100,000  32, 2              27   55        23          -    -       > 18
//
//   (1e-4): the ridge. At 50,000, d = 4, conjugate gradients had come to 2.2e-2
//   after 15 s, at 100,000 to 1.6e-1 after 25 s. Memory: 42 MB against 125 at
//   20,000, 89 MB against 468 MB at 50,000, 162 MB at 100,000. An epoch makes
//   twice the entries of a product, at its rate (5.5e9 a second, d = 32,
//   float32). So blocks lose wherever the preconditioner catches the large
//   eigenvalues, in every case tried at 20,000, and win where memory leaves it
//   too few columns: from some 100,000 rows on, or 50,000 with a slow decay.
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
