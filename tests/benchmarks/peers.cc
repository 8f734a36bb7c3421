#include "tests/benchmarks/peers.h"

#include <cblas.h>
#include <lapacke.h>

#include <algorithm>
#include <chrono>

#include "steelyard/random.h"

namespace steelyard::benchmarks {
namespace {

lapack_int Extent(Index extent) { return static_cast<lapack_int>(extent); }

template <typename T>
std::vector<double> RowNorms(const std::vector<T>& q, Index n, Index d) {
  std::vector<double> squares(static_cast<std::size_t>(n));
  for (Index c = 0; c < d; ++c) {
    for (Index i = 0; i < n; ++i) {
      const auto x = static_cast<double>(q[static_cast<std::size_t>(c * n + i)]);
      squares[static_cast<std::size_t>(i)] += x * x;
    }
  }
  return squares;
}

template <typename T, typename Gemm>
double MeasureGemm(Index rows, Index inner, Index cols, Gemm gemm) {
  const RandomStream random{Seed{1}, 0};
  AlignedVector<T> a(static_cast<std::size_t>(rows * inner));
  AlignedVector<T> b(static_cast<std::size_t>(inner * cols));
  AlignedVector<T> c(static_cast<std::size_t>(rows * cols));
  std::uint64_t counter = 0;
  for (T& x : a) x = static_cast<T>(random.Normal(counter++));
  for (T& x : b) x = static_cast<T>(random.Normal(counter++));
  const double flops = 2.0 * static_cast<double>(rows) *
                       static_cast<double>(inner) * static_cast<double>(cols);
  const int calls = std::max(1, static_cast<int>(4e9 / flops));
  std::vector<double> rates;
  for (int round = 0; round < 6; ++round) {
    const auto start = std::chrono::steady_clock::now();
    for (int call = 0; call < calls; ++call) gemm(a.data(), b.data(), c.data());
    const std::chrono::duration<double> took =
        std::chrono::steady_clock::now() - start;
    rates.push_back(flops * calls / took.count());
  }
  std::nth_element(rates.begin() + 1, rates.begin() + 3, rates.end());
  return rates[3];
}

}  // namespace

BlasThreads::BlasThreads(int threads) { openblas_set_num_threads(threads); }
BlasThreads::~BlasThreads() { openblas_set_num_threads(1); }

std::vector<double> QrLeverages(const Matrix<float>& keys) {
  std::vector<float> q = ColumnMajor(keys);
  std::vector<float> tau(static_cast<std::size_t>(keys.cols()));
  const lapack_int n = Extent(keys.rows());
  const lapack_int d = Extent(keys.cols());
  LAPACKE_sgeqrf(LAPACK_COL_MAJOR, n, d, q.data(), n, tau.data());
  LAPACKE_sorgqr(LAPACK_COL_MAJOR, n, d, d, q.data(), n, tau.data());
  return RowNorms(q, keys.rows(), keys.cols());
}

std::vector<double> QrLeverages(const Matrix<double>& keys) {
  std::vector<double> q = ColumnMajor(keys);
  std::vector<double> tau(static_cast<std::size_t>(keys.cols()));
  const lapack_int n = Extent(keys.rows());
  const lapack_int d = Extent(keys.cols());
  LAPACKE_dgeqrf(LAPACK_COL_MAJOR, n, d, q.data(), n, tau.data());
  LAPACKE_dorgqr(LAPACK_COL_MAJOR, n, d, d, q.data(), n, tau.data());
  return RowNorms(q, keys.rows(), keys.cols());
}

std::vector<double> GelsSolution(const Matrix<double>& a,
                                 const std::vector<double>& b) {
  std::vector<double> columns = ColumnMajor(a);
  std::vector<double> x = b;
  const lapack_int n = Extent(a.rows());
  LAPACKE_dgels(LAPACK_COL_MAJOR, 'N', n, Extent(a.cols()), 1, columns.data(),
                n, x.data(), n);
  x.resize(static_cast<std::size_t>(a.cols()));
  return x;
}

std::vector<double> QrPowerSolution(const Matrix<double>& a,
                                    const std::vector<double>& b,
                                    int exponent) {
  std::vector<double> r = ColumnMajor(a);
  std::vector<double> tau(static_cast<std::size_t>(a.cols()));
  const lapack_int n = Extent(a.rows());
  const lapack_int d = Extent(a.cols());
  LAPACKE_dgeqrf(LAPACK_COL_MAJOR, n, d, r.data(), n, tau.data());
  std::vector<double> x = b;
  for (int level = 0; level < exponent; ++level) {
    cblas_dtrsv(CblasColMajor, CblasUpper, CblasTrans, CblasNonUnit, d,
                r.data(), n, x.data(), 1);
    cblas_dtrsv(CblasColMajor, CblasUpper, CblasNoTrans, CblasNonUnit, d,
                r.data(), n, x.data(), 1);
  }
  return x;
}

double GemmFlopsPerSecond(Index rows, Index inner, Index cols, int threads) {
  const BlasThreads blas(threads);
  return MeasureGemm<double>(
      rows, inner, cols, [&](const double* a, const double* b, double* c) {
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, Extent(rows),
                    Extent(cols), Extent(inner), 1.0, a, Extent(inner), b,
                    Extent(cols), 0.0, c, Extent(cols));
      });
}

double GemmFlopsPerSecondFloat(Index rows, Index inner, Index cols,
                               int threads) {
  const BlasThreads blas(threads);
  return MeasureGemm<float>(
      rows, inner, cols, [&](const float* a, const float* b, float* c) {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, Extent(rows),
                    Extent(cols), Extent(inner), 1.0F, a, Extent(inner), b,
                    Extent(cols), 0.0F, c, Extent(cols));
      });
}

}  // namespace steelyard::benchmarks
