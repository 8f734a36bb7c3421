// What we are held against: LAPACK by the same OpenBLAS with as many threads as
// we have workers, and the GEMM rate of the machine.
#pragma once

#include <vector>

#include "steelyard/matrix.h"

namespace steelyard::benchmarks {

// OpenBLAS with this many threads for as long as it lives; one afterwards.
class BlasThreads {
 public:
  explicit BlasThreads(int threads);
  ~BlasThreads();
  BlasThreads(const BlasThreads&) = delete;
  BlasThreads& operator=(const BlasThreads&) = delete;
};

// LAPACK reads columns: the transpose of our rows, copied as any caller of
// LAPACK with row-major data must.
template <typename T>
std::vector<T> ColumnMajor(const Matrix<T>& a) {
  std::vector<T> columns(static_cast<std::size_t>(a.size()));
  constexpr Index kBlock = 64;
  for (Index first = 0; first < a.rows(); first += kBlock) {
    const Index last = first + kBlock < a.rows() ? first + kBlock : a.rows();
    for (Index c = 0; c < a.cols(); ++c) {
      for (Index i = first; i < last; ++i) {
        columns[static_cast<std::size_t>(c * a.rows() + i)] = a(i, c);
      }
    }
  }
  return columns;
}

// Leverage scores as the squared row norms of Q: geqrf + orgqr, n x d.
std::vector<double> QrLeverages(const Matrix<float>& keys);
std::vector<double> QrLeverages(const Matrix<double>& keys);

// argmin ||A x - b|| by dgels. Overwrites copies of both.
std::vector<double> GelsSolution(const Matrix<double>& a,
                                 const std::vector<double>& b);

// (A'A)^j x = b by dgeqrf of A and 2 j triangular solves with R.
std::vector<double> QrPowerSolution(const Matrix<double>& a,
                                    const std::vector<double>& b, int exponent);

// Flops a second of C = A B with the inner extents of a workload, measured now
// on `threads` threads: the bound that a kernel is held against.
double GemmFlopsPerSecond(Index rows, Index inner, Index cols, int threads);
double GemmFlopsPerSecondFloat(Index rows, Index inner, Index cols,
                               int threads);

}  // namespace steelyard::benchmarks
