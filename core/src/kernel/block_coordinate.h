// Block coordinate descent on S z = c, accelerated: for n where a product with
// all of S is too much to wait for between two steps.
//
//     d_B = S_BB^-1 (S y - c)_B
//     w  := y - d,   v := b v + (1 - b) y - g d,   y := a v + (1 - a) w
//
// METHOD  An epoch goes through a random partition of the unknowns, some
//   thousand at a time; S_BB is factored as it comes (the step is that of
//   sketch-and-project, exact on its block). m = min(least shift, 1 / nu), nu =
//   the number of blocks; b = 1 - sqrt(m / nu), g = 1 / sqrt(m nu),
//   a = 1 / (1 + g nu). At the end of every epoch the residual is recomputed
//   from all of S; iterates then start from it, so that float32 tiles (as in
//   conjugate_gradient.h) lose nothing. An epoch that does not reduce it ends
//   the acceleration; without it the error falls in the norm of S at every
//   step.
//
// SOURCE  Rathore, Frangella, Yang, Derezinski, Udell, arXiv 2407.10070
// (ASkotch,
//   whose blocks are factored approximately); Gower, Hanzely, Richtarik, Stich,
//   NeurIPS 2018.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "kernel/conjugate_gradient.h"

namespace steelyard {

struct BlockCoordinateOptions {
  double tolerance = 1e-8;
  int max_epochs = 1000;
  std::uint64_t seed = 0;
};

// Unknowns of a block: 2048 at most, at least 8 blocks from 128 unknowns on.
Index BlockSize(Index n);

struct BlockCoordinateResult {
  ConjugateGradientResult solved;  // iterations: epochs
  double condition = 0.0;          // of S, from below
};

// COST    2 n^2 (d + k) flops an epoch and a product; n b^2 / 3 to factor
//         blocks of b; memory n (d / 2 + 8 k) + b^2 words.
// RANDOM  the partitions, by the seed.
// ERRORS  Cancelled, DeadlineExceeded: the stop token.
absl::StatusOr<BlockCoordinateResult> SolveBlockCoordinate(
    ScaledSystem& system, const Matrix<double>& c,
    const BlockCoordinateOptions& options, const ComputeContext& context);

}  // namespace steelyard
