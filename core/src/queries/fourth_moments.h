// Z of |x|^4 without n: the fourth moments of the whitened keys y = R^-T k.
//
//     Z_4 = sum_k <q, k>^4 = sum_k <y, x>^4 = v'M v,   x = R q,
//     M = sum_k w w',   w = vech(y y'),  v = vech(x x'),
//
//   vech: the upper triangle, entries off the diagonal times sqrt 2, so that
//   w'v = <y, x>^2. Raw keys would lose u kappa^4.
//
// SOURCE  NUMERICS N8.
#pragma once

#include "absl/status/statusor.h"
#include "factor/factor.h"
#include "linalg/block.h"
#include "steelyard/compute_context.h"
#include "steelyard/matrix.h"
#include "steelyard/matrix_view.h"

namespace steelyard {

inline constexpr Index kMomentsColumnsMax = 32;

// Numbers in vech: d (d + 1) / 2.
Index MomentsOrder(Index d);

// d <= kMomentsColumnsMax, and C(d + 3, 4) different moments are fewer than the
// n d numbers of the keys.
bool MomentsPay(Index n, Index d);

// M, MomentsOrder(d) square, both triangles. `factor`: of full rank.
// COST  n d^4 / 4 flops; memory: at most 16 such matrices and blocks.
// ERRORS  Cancelled, DeadlineExceeded, Aborted.
absl::StatusOr<Matrix<double>> FourthMoments(const AnyMatrixView& keys,
                                             const Factor& factor,
                                             const ComputeContext& context);

// Z_4 of one query and a bound on its error.
struct FourthPowers {
  double z = 0.0;
  double error = 0.0;
};

// z[i] of `count` scaled queries. n: keys that M sums over. `work` holds
// count (d + 2 MomentsOrder(d)) numbers.
// COST  d^4 / 2 flops a query.
void ComputeFourthPowers(const Matrix<double>& moments, Index n,
                         const Factor& factor, Block<const double> queries,
                         double* work, FourthPowers* z);

}  // namespace steelyard
