// The three problems as one: a symmetric matrix with unit diagonal.
//
//     S z = e^{log_left} b,   x = e^{log_right} z,
//     S = w E w + shift,      E_ij = exp(s (a_i-c).(a_j-c) + offset_i +
//     offset_j)
//
//   NONE, UNIT_DIAGONAL  E = G. With D = e^h (UNIT_DIAGONAL: 1), (K + l I) x =
//   b
//     scaled on both sides by its own diagonal, W = (D^2 + l)^{-1/2}, is
//     S = w G w + (1 - w^2), w = D W = (1 + l D^-2)^{-1/2}: every entry lies in
//     [0, 1] whatever l and D are, and log_left = log_right = ln W.
//   SOFTMAX_ROWS  E_ij = exp(s a_i.a_j - (L_i + L_j)/2), L the row
//     log-sum-exps; E_ij^2 = P_ij P_ji <= 1. S = w (E + l I) w,
//     w = (E_ii + l)^{-1/2}, log_left = L/2 + ln w, log_right = -L/2 + ln w.
//
// A ridge l_i of each row fits in as it is: diag(l) commutes with the scalings.
// S is the matrix of the Jacobi-preconditioned iteration and the one that is
// factored: Cholesky of it is that of K + l I in other units.
//
// SOURCE  NUMERICS N3.
#pragma once

#include <vector>

#include "kernel/logits.h"
#include "kernel/softmax_rows.h"

namespace steelyard {

struct SymmetricForm {
  KernelNormalization normalization = KernelNormalization::kNone;
  std::vector<double> ridges;  // l_i, of each row
  double ridge = 0.0;          // the least of them
  std::vector<double> offsets;
  bool unit_diagonal = true;   // of E
  std::vector<double> weight;  // w
  std::vector<double> shift;
  std::vector<double> log_left;
  std::vector<double> log_right;
  // ln of the diagonal of the matrix that the ridge is added to.
  std::vector<double> log_diagonal;
  // How far residuals of one row weigh more than those of another: the range of
  // log_left (of h, but for the rows that the ridge rules), or of L / 2.
  double spread = 0.0;
  // A diagonal entry of S left float64: no ridge, and e^{2h - L} below it.
  bool degenerate = false;
};

// `softmax` for kSoftmaxRows only. `row_ridge` is added to `ridge`, or empty.
SymmetricForm MakeSymmetricForm(const KernelRows& rows,
                                KernelNormalization normalization, double ridge,
                                const SoftmaxRows* softmax,
                                const std::vector<double>& row_ridge = {});

// Up to this spread a common scale of all rows is right; above it vectors need
// an exponent of their own in every row.
inline constexpr double kCommonScaleSpreadMax = 30.0;

}  // namespace steelyard
