#include "linalg/householder_panel.h"

#include <cmath>

#include "linalg/blas.h"

namespace steelyard {
namespace {

// Panels this narrow are done one column at a time.
constexpr Index kNarrow = 8;
// A column below R whose square is smaller is taken as zero: against column
// norms near 1 that moves A by less than 2^-450.
constexpr double kNothing = 0x1p-900;

// The reflector that clears row j of `wt` against r_jj: H = I - tau v v',
// v = [1; w]. Returns tau; 0: nothing to clear.
double MakeReflector(double& r_jj, double* w, Index h) {
  const double below = Dot(w, w, h);
  if (below < kNothing) {
    for (Index i = 0; i < h; ++i) w[i] = 0.0;
    return 0.0;
  }
  // beta = -sign(r_jj) || [r_jj; b] ||, so that r_jj - beta never cancels.
  const double beta = -std::copysign(std::sqrt(r_jj * r_jj + below), r_jj);
  const double tau = (beta - r_jj) / beta;
  Scale(1.0 / (r_jj - beta), w, h);
  r_jj = beta;
  return tau;
}

void FactorColumns(Block<double> r, Block<double> wt, Block<double> t) {
  const Index h = wt.cols;
  for (Index j = 0; j < r.rows; ++j) {
    const double tau = MakeReflector(r(j, j), wt.row(j), h);
    for (Index k = j + 1; k < r.rows && tau != 0.0; ++k) {
      const double dot = tau * (r(j, k) + Dot(wt.row(j), wt.row(k), h));
      r(j, k) -= dot;
      AddScaled(-dot, wt.row(j), wt.row(k), h);
    }
    // t_j = -tau T (V' v_j), and tau on the diagonal.
    for (Index i = 0; i < j; ++i) {
      t(i, j) = tau == 0.0 ? 0.0 : -tau * Dot(wt.row(i), wt.row(j), h);
    }
    for (Index i = 0; i < j; ++i) {
      double sum = 0.0;
      for (Index k = i; k < j; ++k) sum += t(i, k) * t(k, j);
      t(i, j) = sum;
    }
    t(j, j) = tau;
  }
}

void CopyBlock(Block<const double> from, Block<double> to) {
  for (Index i = 0; i < to.rows; ++i) {
    for (Index j = 0; j < to.cols; ++j) to(i, j) = from(i, j);
  }
}

}  // namespace

void FactorPanel(Block<double> r, Block<double> wt, Block<double> t) {
  const Index w = r.rows;
  if (w <= kNarrow) return FactorColumns(r, wt, t);
  const Index h = wt.cols;
  const Index left = w / 2;
  const Index right = w - left;
  const Block<double> wt_1 = wt.Part(0, 0, left, h);
  const Block<double> wt_2 = wt.Part(left, 0, right, h);
  const Block<double> t_11 = t.Part(0, 0, left, left);
  const Block<double> t_12 = t.Part(0, left, left, right);
  const Block<double> t_22 = t.Part(left, left, right, right);
  const Block<double> r_12 = r.Part(0, left, left, right);

  FactorPanel(r.Part(0, 0, left, left), wt_1, t_11);
  // Q_1' on the right half; t_12 is free for Z = T_1' (R_12 + W_1' B_2).
  CopyBlock(r_12, t_12);
  Gemm(1.0, wt_1, Transposed(wt_2), 1.0, t_12);
  TrmmUpper(Side::kLeft, Transposed(t_11), t_12);
  for (Index i = 0; i < left; ++i) {
    for (Index j = 0; j < right; ++j) r_12(i, j) -= t_12(i, j);
  }
  Gemm(-1.0, Transposed(t_12), wt_1, 1.0, wt_2);
  FactorPanel(r.Part(left, left, right, right), wt_2, t_22);
  // T_12 = -T_11 (V_1' V_2) T_22
  Gemm(-1.0, wt_1, Transposed(wt_2), 0.0, t_12);
  TrmmUpper(Side::kLeft, t_11, t_12);
  TrmmUpper(Side::kRight, t_22, t_12);
}

void ApplyPanel(Block<const double> wt, Block<const double> t, Block<double> c,
                Block<double> b, Block<double> scratch) {
  // Z = T' (C + W' B); C -= Z; B -= W Z
  CopyBlock(c, scratch);
  Gemm(1.0, wt, b, 1.0, scratch);
  TrmmUpper(Side::kLeft, Transposed(t), scratch);
  for (Index i = 0; i < c.rows; ++i) {
    for (Index j = 0; j < c.cols; ++j) c(i, j) -= scratch(i, j);
  }
  Gemm(-1.0, Transposed(wt), scratch, 1.0, b);
}

}  // namespace steelyard
