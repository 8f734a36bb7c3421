// Leverage scores by a route of their own, to hold an answer against.
//
//     tau_j = k_j' (K'K)^+ k_j = ||W' k_j||^2,  W W' = (K'K)^+
//
// METHOD  Columns scaled by powers of two; Householder QR by row blocks
//   (LAPACK dgeqrf); SVD of the factor (dgesvd) gives W = V_r S_r^-1. The
//   defect f = ||X'X - I||_F of X = K W is measured in the pass that makes the
//   scores; a defect above 1e-10 is repaired, W <- W chol(X'X)^-T, and the pass
//   is made again.
//
// SHAPES  keys: n x d, any n and d.
// COST    4 n d^2 flops, 6 n d^2 with repair, one thread; memory O(n + d^2).
// SOURCE  NUMERICS N4 for the error of the scores.
#pragma once

#include <cstdint>
#include <vector>

#include <Eigen/Core>

#include "client/verify/rows.h"

namespace steelyard::verify {

class LeverageReference {
 public:
  explicit LeverageReference(const Rows& keys);

  const Eigen::VectorXd& scores() const { return scores_; }
  int64_t rank() const { return rank_; }
  // Of the column-scaled keys: sigma_1 / sigma_rank.
  double condition() const { return condition_; }
  // Relative error of each of scores(): f / (1 - f) + 2 g,
  // g = (d + 2) u ||K||_F ||W||_F.
  double score_error() const { return score_error_; }
  // ||K||_F ||W||_F, the measure of sensitivity to rounding.
  double frobenius_condition() const { return frobenius_condition_; }
  // A singular value lies within a factor of 10 of the rank threshold.
  bool rank_is_borderline() const { return rank_is_borderline_; }

  // y = (K'K)^+ k_j for each row k_j of `keys`: the query for which key j
  // scores tau_j, and no query gives it more. In the coordinates of the keys.
  RowMatrix AttainingQueries(const RowMatrix& keys) const;

 private:
  void Factor(const Rows& keys);
  double ScorePass(const Rows& keys, Eigen::MatrixXd* gram);

  Eigen::VectorXi exponents_;  // Columns are scaled by 2^-exponent.
  Eigen::MatrixXd whitening_;  // W, d x rank.
  Eigen::VectorXd scores_;
  int64_t rank_ = 0;
  double condition_ = 1.0;
  double frobenius_condition_ = 0.0;
  double score_error_ = 0.0;
  bool rank_is_borderline_ = false;
};

// The singular values and right singular vectors of an n x d matrix given by
// blocks of rows, through a QR factor: LAPACK dgeqrf and dgesvd.
struct RightSingular {
  Eigen::VectorXi exponents;  // Columns were scaled by 2^-exponent.
  Eigen::MatrixXd factor;     // R, d x d, of the scaled columns.
  Eigen::VectorXd values;     // d of them, descending.
  Eigen::MatrixXd vectors;    // V, d x d.
};
RightSingular RightSingularOf(const Rows& matrix);

// Singular values above this part of the largest count (NUMERICS N1).
double RankThreshold(int64_t columns);

}  // namespace steelyard::verify
