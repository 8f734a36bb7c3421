#include "linalg/blas.h"

#include <cblas.h>
#include <lapacke.h>

#include <cmath>

namespace steelyard {
namespace {

// Extents of a call are those of a block, far below 2^31.
blasint Int(Index i) { return static_cast<blasint>(i); }

template <typename T>
CBLAS_TRANSPOSE Trans(const Operand<T>& a) {
  return a.transposed ? CblasTrans : CblasNoTrans;
}

CBLAS_SIDE CblasSide(Side side) {
  return side == Side::kLeft ? CblasLeft : CblasRight;
}

}  // namespace

void Gemm(double alpha, Operand<double> a, Operand<double> b, double beta,
          Block<double> c) {
  if (c.rows == 0 || c.cols == 0) return;
  cblas_dgemm(CblasRowMajor, Trans(a), Trans(b), Int(c.rows), Int(c.cols),
              Int(a.cols()), alpha, a.block.data, Int(a.block.stride),
              b.block.data, Int(b.block.stride), beta, c.data, Int(c.stride));
}

void Gemm(float alpha, Operand<float> a, Operand<float> b, float beta,
          Block<float> c) {
  if (c.rows == 0 || c.cols == 0) return;
  cblas_sgemm(CblasRowMajor, Trans(a), Trans(b), Int(c.rows), Int(c.cols),
              Int(a.cols()), alpha, a.block.data, Int(a.block.stride),
              b.block.data, Int(b.block.stride), beta, c.data, Int(c.stride));
}

void SyrkUpper(double alpha, Operand<double> a, double beta, Block<double> c) {
  if (c.rows == 0) return;
  cblas_dsyrk(CblasRowMajor, CblasUpper, Trans(a), Int(c.rows), Int(a.cols()),
              alpha, a.block.data, Int(a.block.stride), beta, c.data,
              Int(c.stride));
}

void SyrkUpper(float alpha, Operand<float> a, float beta, Block<float> c) {
  if (c.rows == 0) return;
  cblas_ssyrk(CblasRowMajor, CblasUpper, Trans(a), Int(c.rows), Int(a.cols()),
              alpha, a.block.data, Int(a.block.stride), beta, c.data,
              Int(c.stride));
}

void TrsmUpper(Side side, Operand<double> upper, Block<double> b) {
  if (b.rows == 0 || b.cols == 0) return;
  cblas_dtrsm(CblasRowMajor, CblasSide(side), CblasUpper, Trans(upper),
              CblasNonUnit, Int(b.rows), Int(b.cols), 1.0, upper.block.data,
              Int(upper.block.stride), b.data, Int(b.stride));
}

void TrsmUpper(Side side, Operand<float> upper, Block<float> b) {
  if (b.rows == 0 || b.cols == 0) return;
  cblas_strsm(CblasRowMajor, CblasSide(side), CblasUpper, Trans(upper),
              CblasNonUnit, Int(b.rows), Int(b.cols), 1.0F, upper.block.data,
              Int(upper.block.stride), b.data, Int(b.stride));
}

void TrmmUpper(Side side, Operand<double> upper, Block<double> b) {
  if (b.rows == 0 || b.cols == 0) return;
  cblas_dtrmm(CblasRowMajor, CblasSide(side), CblasUpper, Trans(upper),
              CblasNonUnit, Int(b.rows), Int(b.cols), 1.0, upper.block.data,
              Int(upper.block.stride), b.data, Int(b.stride));
}

void TrmmUpper(Side side, Operand<float> upper, Block<float> b) {
  if (b.rows == 0 || b.cols == 0) return;
  cblas_strmm(CblasRowMajor, CblasSide(side), CblasUpper, Trans(upper),
              CblasNonUnit, Int(b.rows), Int(b.cols), 1.0F, upper.block.data,
              Int(upper.block.stride), b.data, Int(b.stride));
}

double Dot(const double* x, const double* y, Index count) {
  return cblas_ddot(Int(count), x, 1, y, 1);
}

void Scale(double alpha, double* x, Index count) {
  cblas_dscal(Int(count), alpha, x, 1);
}

void AddScaled(double alpha, const double* x, double* y, Index count) {
  cblas_daxpy(Int(count), alpha, x, 1, y, 1);
}

Index PotrfUpper(Block<double> a) {
  if (a.rows == 0) return -1;
  // Row-major upper is what Fortran reads as lower.
  const char lower = 'L';
  const lapack_int n = Int(a.rows);
  const lapack_int stride = Int(a.stride);
  lapack_int info = 0;
  LAPACK_dpotrf(&lower, &n, a.data, &stride, &info);
  if (info > 0) return info - 1;
  // A NaN on the diagonal passes the comparisons of LAPACK.
  for (Index i = 0; i < a.rows; ++i) {
    if (!(a(i, i) > 0.0) || std::isinf(a(i, i))) return i;
  }
  return -1;
}

}  // namespace steelyard
