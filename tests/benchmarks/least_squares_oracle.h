// What a tall regression is judged by: matrices of a given condition, LAPACK's
// Householder factor of them, solutions to some 30 digits and the backward
// error of a least-squares solution. None of it is our solver; products with A
// in double-double are those of core/src/linalg/double_double_rows.h.
//
// SOURCE  Karlson, Walden, Estimation of optimal backward perturbation bounds
//   for the linear least squares problem, BIT 37 (1997).
#pragma once

#include <vector>

#include "steelyard/matrix.h"

namespace steelyard::benchmarks {

// hi + lo, entry by entry.
struct DoubleDoubles {
  std::vector<double> hi;
  std::vector<double> lo;
};

// A, n x d: normal entries of variance 1 / n times diag(s) Q with s falling
// from 1 to 1 / cond and Q orthogonal. Its condition is that up to
// (1 + sqrt(d / n)) / (1 - sqrt(d / n)).
Matrix<double> TallMatrix(Index n, Index d, double cond);

// R and Q'b of LAPACK's dgeqrf and dormqr.
struct HouseholderFactor {
  Matrix<double> r;         // d x d, upper, row-major
  std::vector<double> q_b;  // d
};
HouseholderFactor Factor(const Matrix<double>& a, const std::vector<double>& b,
                         int threads);

// `exponent` pairs of triangular solves with R, as a user of LAPACK does, of
// R^-1 Q'b (odd) or of b of length d (even).
std::vector<double> RepeatedSolves(const HouseholderFactor& factor,
                                   const std::vector<double>& b, int exponent,
                                   bool odd);

// What a double-double product with A leaves.
struct ExactResidual {
  std::vector<double> rows;  // b - A x, rounded
  DoubleDoubles gradient;    // A'(b - A x)
  long double norm = 0.0L;   // |b - A x|
};
// b empty: zero.
ExactResidual ResidualOf(const Matrix<double>& a, const std::vector<double>& b,
                         const DoubleDoubles& x, int threads);

// The solution by corrections R^-1 R^-T of double-double residuals, level by
// level, until their images under A no longer halve. b of length n: odd family;
// of length d: even.
struct Truth {
  DoubleDoubles x;
  double last_correction = 0.0;  // over |x|; the error left is less
};
Truth SolveExactly(const Matrix<double>& a, const Matrix<double>& r,
                   const std::vector<double>& b, int exponent, int threads);

// |x - y| / |y|.
double ErrorOf(const double* x, const DoubleDoubles& y);

// Singular values of R and its right singular vectors, by dgesdd.
struct RightSpectrum {
  std::vector<double> values;  // falling
  std::vector<double> rows;    // V', row-major
};
RightSpectrum SpectrumOf(const Matrix<double>& r);

// | (A'A + (|r| / |x|)^2 I)^-1/2 A'r | / (|x| |A|_F), r = b - A x: the least
// relative change of A that makes x a solution lies within [1, sqrt 2] of it.
double BackwardError(const RightSpectrum& spectrum,
                     const ExactResidual& residual,
                     const std::vector<double>& x);

}  // namespace steelyard::benchmarks
