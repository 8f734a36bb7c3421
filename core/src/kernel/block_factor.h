// (S_BB + e I)^-1 for one block of unknowns.
//
// METHOD  R'R by Cholesky; in float32 by square tiles as in linalg/cholesky.h,
//   the diagonal ones in float64. e is what rounding of the entries asks for,
//   8 u sqrt(b) at first, and eight times as much as often as there is no
//   factor: directions of S_BB below it are damped, which costs steps and no
//   digit of the answer. The bits do not depend on the number of threads.
//
// SOURCE  Rathore et al., arXiv 2407.10070: damping as in ASkotch.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "kernel/block_rows.h"
#include "steelyard/compute_context.h"
#include "steelyard/matrix.h"

namespace steelyard {

// T: float, double.
template <typename T>
class BlockFactor {
 public:
  // `damping` is where the last block ended, 0 before there was one. Singular
  // for float64, with e = 1: the block's step is damped to nothing at worst.
  // COST    |B|^3 / 3 + 2 |B|^2 d flops, |B|^2 words.
  // ERRORS  Cancelled, DeadlineExceeded, Aborted: the stop token, looked at
  //         between tiles.
  static absl::StatusOr<BlockFactor> Make(const BlockRows& rows,
                                          const std::vector<Index>& block,
                                          double& damping,
                                          const ComputeContext& context);

  // v := (S_BB + e I)^-1 v, v is |B| x k. COST 2 |B|^2 k flops.
  absl::Status Solve(Matrix<T>& v, const ComputeContext& context) const;

  // The least squared pivot: S_BB has an eigenvalue that is no larger.
  double least_pivot() const { return least_pivot_; }

 private:
  BlockFactor(Matrix<T> r, double least_pivot)
      : r_(std::move(r)), least_pivot_(least_pivot) {}

  Matrix<T> r_;
  double least_pivot_;
};

}  // namespace steelyard
