// The three regressions against the attention kernel, recomputed:
//
//   none           (K + l I) x = b, K_ij = exp(s <a_i, a_j>)
//   unit diagonal  (G + l I) x = b, G_ij = exp(-s |a_i - a_j|^2 / 2)
//   softmax rows   (P + l I) x = b, P = diag(K 1)^-1 K
//
// With ridges of the rows, l I + diag(row_ridge) in place of l I.
//
// METHOD  Row by row in 80-bit arithmetic; logits up to 11,000 are in its
//   range. LAPACK beside it where float64 can hold the matrix: dposv for the
//   first two, dgesv for the third.
//
// COST  n^2 (d + 60) a product; memory n^2 float64 for LAPACK.
// SOURCE  NUMERICS N3.
#pragma once

#include <Eigen/Core>
#include <memory>
#include <string>
#include <vector>

#include "client/verify/rows.h"
#include "client/verify/solve_figures.h"
#include "client/verify/wide_vector.h"
#include "steelyard/client/regression.h"

namespace steelyard::verify {

class KernelSystem {
 public:
  KernelSystem(RowMatrix a, const client::AttentionKernel& problem,
               double ridge);

  SolveFigures Examine(const WideVector& b, const ScaledVector& x) const;

  // max_i,j s |a_i| |a_j|, at least 1: the L of N3.
  double logit_size() const { return logit_size_; }

 private:
  struct Products {
    WideVector signed_sum;    // (M + l I) x
    WideVector absolute_sum;  // (M + l I) |x|
  };

  // Row i of K, G or P, without the ridge; kept where memory allows.
  WideVector KernelRow(Eigen::Index i) const;
  WideVector ComputeRow(Eigen::Index i) const;
  Eigen::MatrixXd Float64Kernel() const;
  Products Apply(const WideVector& x) const;
  void Factor();
  WideVector LapackSolve(const WideVector& b) const;
  void AddLapack(const WideVector& b, const WideVector& x,
                 SolveFigures* figures) const;

  RowMatrix a_;
  client::AttentionKernel problem_;
  Eigen::VectorXd ridges_;  // Of each row, l and its own.
  double logit_size_ = 1.0;
  double largest_logit_ = 0.0;
  Eigen::VectorXd half_logits_;  // s |a_i|^2 / 2
  Eigen::MatrixXd factor_;       // Of dpotrf or dgetrf; empty: none.
  std::vector<int> pivots_;
  std::shared_ptr<std::vector<WideVector>> rows_ =
      std::make_shared<std::vector<WideVector>>();
  std::string lapack_method_;
};

}  // namespace steelyard::verify
