// Dense row-major products and triangular solves, one call on one core.
//
// METHOD  CBLAS of OpenBLAS, which every main has told to use one thread. A
//   call cannot be stopped: callers cut their work into blocks of at most some
//   30 ms (about 1e9 flops) and look at the stop token in between.
//
// SHAPES   named at each routine; operands are taken as transposed when they
//   say so. `upper` operands are stored in the upper triangle; what lies below
//   the diagonal is never read.
// SCALARS  double, float.
#pragma once

#include "linalg/block.h"

namespace steelyard {

enum class Side { kLeft, kRight };

// C := alpha A B + beta C.
void Gemm(double alpha, Operand<double> a, Operand<double> b, double beta,
          Block<double> c);
void Gemm(float alpha, Operand<float> a, Operand<float> b, float beta,
          Block<float> c);

// Upper triangle of C := alpha A A' + beta C. A'A: give Transposed(A).
void SyrkUpper(double alpha, Operand<double> a, double beta, Block<double> c);
void SyrkUpper(float alpha, Operand<float> a, float beta, Block<float> c);

// B := U^-1 B (left) or B U^-1 (right), U = `upper` or its transpose.
void TrsmUpper(Side side, Operand<double> upper, Block<double> b);
void TrsmUpper(Side side, Operand<float> upper, Block<float> b);

// B := U B (left) or B U (right).
void TrmmUpper(Side side, Operand<double> upper, Block<double> b);
void TrmmUpper(Side side, Operand<float> upper, Block<float> b);

// x'y, x := alpha x, y += alpha x for vectors of `count` numbers. Squares must
// not overflow.
double Dot(const double* x, const double* y, Index count);
void Scale(double alpha, double* x, Index count);
void AddScaled(double alpha, const double* x, double* y, Index count);

// Upper triangle of A := R with R'R = A. Returns -1, or the first pivot that
// was not positive (then R is complete before it). Rows and columns <= 512.
Index PotrfUpper(Block<double> a);

}  // namespace steelyard
