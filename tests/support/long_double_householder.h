// The oracle: Householder QR with column pivoting in long double (u = 2^-64).
// Exponents reach 1e4932, so entries of 1e300 and 1e-300 need no scaling.
// Right to about 1e-19 times the condition number. Slow: n d up to some 1e5.
#pragma once

#include <vector>

#include "steelyard/matrix.h"

namespace steelyard::test {

// The entries of any view as long double.
Matrix<long double> Widened(const AnyMatrixView& a);

struct LongDoubleQr {
  Matrix<long double> r;     // min(n, d) x d, columns in pivoted order
  std::vector<Index> order;  // column k of r is column order[k] of A
  Matrix<long double> q;     // n x min(n, d), orthonormal columns
};

LongDoubleQr LongDoubleHouseholder(const Matrix<long double>& a);

// tau_j = k_j' (K'K)^+ k_j for K of the given rank (unset, 0: min(n, d)): the
// squared rows of the leading columns of Q.
std::vector<long double> LongDoubleLeverages(const AnyMatrixView& keys,
                                             Index rank = 0);

// d singular values, descending (zeros when n < d): one-sided Jacobi on R.
std::vector<long double> LongDoubleSingularValues(const AnyMatrixView& a);
std::vector<long double> LongDoubleSingularValues(const Matrix<long double>& a);

// ||M'M - I||_F, M = R_exact S R^-1, where R is a computed factor of A with
// columns scaled by 2^-exponents: the true || R^-T E R^-1 ||_F of N4. A full
// column rank.
long double LongDoubleGramError(const AnyMatrixView& a,
                                const std::vector<int>& exponents,
                                const Matrix<double>& r);

}  // namespace steelyard::test
