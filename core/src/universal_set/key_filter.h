// Float32 bounds that tell which keys need a score in float64 at all.
//
//   certain   bound_j >= ||R^-T k_j||^2, always:
//               mu ||k_j1||^2 + (||x_j|| + e ||k_j|| + a)^2,
//             k_j1 the first m columns of k_j, mu >= ||S_11||_2^2 of the
//             leading m x m block of S = R^-1, x_j the other columns of fl32(K)
//             fl32(S). m is as large as typical keys allow: well-conditioned
//             keys cost their norm only (m = d), others n (d^2 - m^2) flops.
//   sketched  bound_j = 10 (||x_j|| + ...)^2, x_j = fl32(K) fl32(S W), W of d x
//             48 independent normals / sqrt(48): fails for one key with
//             probability P(chi^2_48 <= 4.8) <= (0.1 e^0.9)^24 < 3e-15.
//
// METHOD  e = 1.01 (d + 4) u_32 ||B||_F, B = S or S W: each factor is rounded
//   once, a product of depth d has d roundings more, the norm d + 1 (Higham,
//   ch. 3), 1 % for second order. `a` covers everything that underflows in
//   float32, also when a caller has asked the processor to flush it to zero.
//   Columns are scaled (factor.h) before they are rounded to float32, so
//   neither K (entries below 2) nor S (below 1e20 where delta <= 1) overflows;
//   a bound that is no number keeps its key all the same.
//
// SOURCE  NUMERICS N4, fast mode. The tail: Chernoff. Higham, ch. 3.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "factor/factor.h"
#include "factor/row_loader.h"
#include "factor/strip_kernels.h"
#include "parallel/scratch_pool.h"
#include "steelyard/compute_context.h"
#include "steelyard/cost.h"
#include "steelyard/matrix.h"
#include "steelyard/random.h"

namespace steelyard {

class KeyFilter {
 public:
  // `inverse` is R^-1 of a factor of full rank; `level` the bound that most of
  // the keys should stay below: with a sample of them it decides m, never a
  // bound.
  // COST  some d^3 flops; d^2 words of float32.
  static KeyFilter Certain(const AnyMatrixView& keys, const Factor& factor,
                           const Matrix<double>& inverse, double level);
  static KeyFilter Sketched(const Factor& factor, const Matrix<double>& inverse,
                            Seed seed);

  // m: columns that only their norm stands for.
  Index leading() const { return leading_; }

  // bounds[i] of the keys first .. first + count - 1, safe from several
  // threads.
  void Bound(const AnyMatrixView& keys, Index first, Index count,
             double* bounds) const;

 private:
  KeyFilter(const Factor& factor, Index columns);
  void Pack(const Matrix<double>& right);
  void BoundPanel(const RowLoader& rows, Index first, Index count,
                  double* bounds) const;

  Index d_;
  std::vector<int> exponents_;
  Index right_columns_;         // of B
  double right_norm_ = 0.0;     // ||B||_F
  AlignedVector<float> right_;  // B as strips
  bool upper_ = true;           // B is S, else S W
  Index leading_ = 0;
  double leading_factor_ = 0.0;  // mu
  double scale_ = 1.0;           // 10 where sketched
  std::unique_ptr<ScratchPoolOf<float>> pool_;
};

// Columns of W.
inline constexpr Index kSketchColumns = 48;
// Of one member, by a sketched filter.
inline constexpr double kSketchFailure = 3e-15;

Cost CostOfKeyFilter(Index d, int workers);

}  // namespace steelyard
