// Leverage scores of blocks of rows against one R of full rank.
//
//     tau_j = ||k_j' R^-1||^2,   R upper triangular, d x d.
//
// METHOD  R^-1 is formed once, column by column, so that |R S - I| <= gamma_d
//   |R||S|, and packed as strips (factor/strip_kernels.h); K S lives in
//   registers only. Its rounding, gamma_d |k|'|S|, and that of S each change
//   ||k'S|| by at most d u ||R||_F ||S||_F relatively, since ||k|| <= ||R||
//   ||R^-T k||: a score by 4 g of Factor::delta. Larger d: triangular solves.
//
// SOURCE  NUMERICS N4. Higham, Accuracy and Stability, ch. 3.5, 14.2.
#pragma once

#include <optional>

#include "absl/status/statusor.h"
#include "factor/factor.h"
#include "factor/row_loader.h"
#include "factor/strip_kernels.h"
#include "linalg/triangular.h"
#include "parallel/scratch_pool.h"
#include "steelyard/compute_context.h"
#include "steelyard/cost.h"
#include "steelyard/matrix.h"

namespace steelyard {

class BlockScorer {
 public:
  // SHAPES  r: d x d without a zero on its diagonal. Columns of the keys are
  //   multiplied by 2^-exponents[c] first.
  // COST    d^3 flops, d^2 words. ERRORS Cancelled, DeadlineExceeded, Aborted.
  static absl::StatusOr<BlockScorer> Create(const Matrix<double>& r,
                                            const ColumnScales& scales,
                                            const ComputeContext& context);

  // The same from R^-1 as UpperInverse makes it, d <= 1024.
  static BlockScorer FromInverse(Matrix<double> inverse,
                                 const ColumnScales& scales);

  // Rows that are scored between two looks at a stop token.
  Index rows() const { return rows_; }

  // tau[i] of the keys first .. first + count - 1, count <= rows(); not
  // clipped. Safe from several threads. Less than all are set when `stop` is
  // requested. COST  count d^2 flops.
  void Score(const AnyMatrixView& keys, Index first, Index count,
             const StopToken& stop, double* tau) const;

 private:
  BlockScorer(Index d, ColumnScales scales);

  void ScoreByInverse(const RowLoader& loader, Index first, Index count,
                      double* tau) const;
  void ScoreBySolving(const RowLoader& loader, Index first, Index count,
                      const StopToken& stop, double* tau) const;

  Index d_;
  Index rows_;
  // Of the keys as they are loaded: empty when S carries them.
  std::vector<int> exponents_;
  AlignedVector<double> inverse_;  // 2^-e S as strips
  Matrix<double> r_;               // d > 1024 only
  std::unique_ptr<ScratchPool> pool_;
};

// Of one BlockScorer on `workers` workers, without the scoring.
Cost CostOfBlockScorer(Index d, int workers);

}  // namespace steelyard
