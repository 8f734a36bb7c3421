// Epochs of block coordinate descent on S z = c, each a direction of flexible
// conjugate gradients:
//
//     for every block B of a random partition, in turn:
//       d_B = (S_BB + e I)^-1 (r - q)_B,   w_B = d_B,   q += S_:B d_B
//     p = w - sum_j (w'S p_j / p_j'S p_j) p_j,   a = r'p / p'S p
//     z += a p,   r -= a S p
//
// METHOD  q = S w is there when the epoch is over, so that the new residual
//   costs no product: an epoch is one pass over S, two products' work for want
//   of symmetry. p is made conjugate to the last directions of epochs; the
//   error falls in the norm of S at every step, whatever the blocks were.
//
// SOURCE  Gauss-Seidel as a preconditioner, randomised by blocks: Rathore et
//   al., arXiv 2407.10070 (ASkotch); directions: Notay, Flexible conjugate
//   gradients, SIAM J. Sci. Comput. 2000.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernel/block_rows.h"
#include "kernel/scaled_system.h"
#include "steelyard/compute_context.h"
#include "steelyard/matrix.h"

namespace steelyard {

class BlockEpochs {
 public:
  // Vectors are k x n, one a row, k <= 16; every right-hand side has a
  // recurrence of its own. Everything must outlive the epochs.
  BlockEpochs(ScaledSystem& system, std::uint64_t seed, Index k,
              const ComputeContext& context);

  // Goes on from this residual with these of the rows there were.
  void Restart(Matrix<double> residual, const std::vector<Index>& kept);

  // One epoch, z (k x n) and the residual with it. Rows of those that broke
  // down, p'S p not above n u p'p, were left as they were.
  // COST    2 n^2 (d + k) flops, n^2 exponentials, n |B|^2 / 3 for the blocks;
  //         memory (7 + 2 BlockDirections(k)) n k + |B|^2 words.
  // ERRORS  Cancelled, DeadlineExceeded, Aborted: the stop token.
  absl::StatusOr<std::vector<Index>> Step(TilePrecision precision,
                                          Matrix<double>& z);

  // Of each row of the residual, in the norm of b.
  const std::vector<double>& norms() const { return norms_; }
  // What rounding of the tiles did to each since Restart: an estimate.
  const std::vector<double>& tile_errors() const { return tile_errors_; }

  // Of S, from below.
  double condition() const { return largest_ / least_; }

 private:
  struct Direction {
    Matrix<double> p;
    Matrix<double> sp;
    std::vector<double> psp;
  };
  absl::Status RunBlocks(TilePrecision precision, Matrix<double>& w,
                         Matrix<double>& q);
  template <typename T>
  absl::Status StepBlock(const std::vector<Index>& block,
                         TilePrecision precision, double& damping,
                         Matrix<double>& w, Matrix<double>& q);
  bool Advance(Index c, double unit, Direction& next, Matrix<double>& z);
  void Measure(Index c);

  ScaledSystem& system_;
  const ComputeContext& context_;
  const std::uint64_t seed_;
  const std::size_t directions_;
  BlockRows rows_;
  Matrix<double> r_;
  std::deque<Direction> past_;
  std::vector<double> norms_;
  std::vector<double> tile_errors_;
  double mean_square_ = 0.0;  // of the s|a - c|^2
  double damping_ = 0.0;
  double damping32_ = 0.0;
  double largest_ = 1.0;
  double least_ = 1.0;
  int epoch_ = 0;
};

// Unknowns of a block: 8 sqrt(n), so that factors cost a part of what the tiles
// do, but 4096 at most, and half of the unknowns.
Index BlockSize(Index n);

// Directions that are kept for k right-hand sides: 32 vectors and 8 directions
// at most. More hardly help, partitions being random.
Index BlockDirections(Index k);

}  // namespace steelyard
