// Attention-kernel regressions done the slow way.
//
// METHOD  Entries by the definition, K_ij = exp(s a_i.a_j), never scaled or
//   centred: in long double up to logits of 11,000 (e^11356 is its largest
//   number), in MPFR above.
#pragma once

#include <vector>

#include "kernel/scaled_vector.h"
#include "steelyard/attention_kernel_regression.h"
#include "steelyard/matrix.h"

namespace steelyard::test {

struct KernelSystem {
  Matrix<double> a;  // n x d
  double scale = 1.0;
  KernelNormalization normalization = KernelNormalization::kNone;
  double ridge = 0.0;
  std::vector<double> row_ridge;  // added to it, or empty

  double RidgeOf(std::size_t row) const {
    return row_ridge.empty() ? ridge : ridge + row_ridge[row];
  }
};

struct OracleResidual {
  double relative_residual = 0.0;
  double omega = 0.0;
};

// max(1, s|a_i||a_j|).
double LargestLogit(const KernelSystem& system);

// Of b - M x. Long double or MPFR by LargestLogit.
OracleResidual KernelResidual(const KernelSystem& system, const ScaledVector& x,
                              const std::vector<double>& b);
OracleResidual KernelResidualMpfr(const KernelSystem& system,
                                  const ScaledVector& x,
                                  const std::vector<double>& b);

// x of M x = b by Gaussian elimination in MPFR with this many bits.
ScaledVector SolveKernelMpfr(const KernelSystem& system,
                             const std::vector<double>& b, int bits);

// max_i |x_i - y_i| / |y_i|.
double ComponentwiseDifference(const ScaledVector& x, const ScaledVector& y);

// E V for E_ij = exp(-s|a_i - a_j|^2 / 2) in long double; v and the answer are
// k x n.
Matrix<double> UnitKernelProduct(const KernelSystem& system,
                                 const Matrix<double>& v);

}  // namespace steelyard::test
