#include "tests/benchmarks/least_squares_oracle.h"

#include <cblas.h>
#include <lapacke.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <thread>

#include "linalg/blas.h"
#include "linalg/double_double.h"
#include "linalg/double_double_rows.h"
#include "steelyard/random.h"
#include "tests/benchmarks/peers.h"

namespace steelyard::benchmarks {
namespace {

// Rows that a thread has in its cache at once.
constexpr Index kBlock = 256;
constexpr int kMostCorrections = 40;

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

DoubleDoubles Zeros(Index count) {
  return {std::vector<double>(At(count)), std::vector<double>(At(count))};
}

// work(thread, first, last): rows in as many shares as threads.
void InShares(Index rows, int threads,
              const std::function<void(int, Index, Index)>& work) {
  std::vector<std::thread> running;
  for (int t = 0; t < threads; ++t) {
    running.emplace_back(work, t, rows * t / threads, rows * (t + 1) / threads);
  }
  for (std::thread& thread : running) thread.join();
}

std::vector<double> RandomOrthogonal(Index d) {
  const RandomStream random{Seed{31}, 0};
  std::vector<double> q(At(d * d));
  for (std::size_t i = 0; i < q.size(); ++i) q[i] = random.Normal(i);
  std::vector<double> tau(At(d));
  const auto extent = static_cast<lapack_int>(d);
  LAPACKE_dgeqrf(LAPACK_COL_MAJOR, extent, extent, q.data(), extent,
                 tau.data());
  LAPACKE_dorgqr(LAPACK_COL_MAJOR, extent, extent, extent, q.data(), extent,
                 tau.data());
  return q;
}

long double Norm(const std::vector<long double>& x) {
  long double square = 0.0L;
  for (const long double value : x) square += value * value;
  return std::sqrt(square);
}

// x := R^-1 R^-T x, in long double: what is left to correct is the error of R.
// Returns |R x|, the length of A x, in which corrections shrink steadily; |x|
// first grows where the condition is large.
long double SolveGram(const Matrix<double>& r, std::vector<long double>& x) {
  const Index d = r.cols();
  for (Index i = 0; i < d; ++i) {
    x[At(i)] /= r(i, i);
    for (Index c = i + 1; c < d; ++c) x[At(c)] -= r(i, c) * x[At(i)];
  }
  const long double length = Norm(x);
  for (Index i = d - 1; i >= 0; --i) {
    for (Index c = i + 1; c < d; ++c) x[At(i)] -= r(i, c) * x[At(c)];
    x[At(i)] /= r(i, i);
  }
  return length;
}

long double Norm(const std::vector<double>& x) {
  return Norm(std::vector<long double>(x.begin(), x.end()));
}

void AddTo(DoubleDoubles& x, const std::vector<long double>& step) {
  for (std::size_t i = 0; i < step.size(); ++i) {
    const auto hi = static_cast<double>(step[i]);
    const auto lo = static_cast<double>(step[i] - hi);
    const DoubleDouble sum = Add({x.hi[i], x.lo[i]}, {hi, lo});
    x.hi[i] = sum.hi;
    x.lo[i] = sum.lo;
  }
}

// One level: A'A x = A'b, or A'A x = previous where it is given.
Truth SolveLevel(const Matrix<double>& a, const Matrix<double>& r,
                 const std::vector<double>& b, const DoubleDoubles* previous,
                 int threads) {
  Truth truth{.x = Zeros(a.cols())};
  long double last = std::numeric_limits<long double>::infinity();
  for (int step = 0; step < kMostCorrections; ++step) {
    const DoubleDoubles left = ResidualOf(a, b, truth.x, threads).gradient;
    std::vector<long double> correction(At(a.cols()));
    for (std::size_t i = 0; i < correction.size(); ++i) {
      DoubleDouble sum{left.hi[i], left.lo[i]};
      if (previous != nullptr) {
        sum = Add(sum, {previous->hi[i], previous->lo[i]});
      }
      correction[i] = static_cast<long double>(sum.hi) + sum.lo;
    }
    const long double length = SolveGram(r, correction);
    if (!(length < 0.5L * last)) break;
    AddTo(truth.x, correction);
    last = length;
    truth.last_correction =
        static_cast<double>(Norm(correction) / Norm(truth.x.hi));
  }
  return truth;
}

}  // namespace

Matrix<double> TallMatrix(Index n, Index d, double cond) {
  std::vector<double> factor = RandomOrthogonal(d);
  for (Index i = 0; i < d; ++i) {
    const double fall =
        std::pow(cond, -static_cast<double>(i) / static_cast<double>(d - 1));
    const double scale = fall / std::sqrt(static_cast<double>(n));
    for (Index c = 0; c < d; ++c) factor[At(i * d + c)] *= scale;
  }
  const RandomStream random{Seed{32}, 0};
  Matrix<double> a = Matrix<double>::Unset(n, d);
  const auto threads = static_cast<int>(std::thread::hardware_concurrency());
  InShares(n, threads, [&](int, Index begin, Index end) {
    Matrix<double> normal(kBlock, d);
    for (Index first = begin; first < end; first += kBlock) {
      const Index rows = std::min(kBlock, end - first);
      for (Index i = 0; i < rows * d; ++i) {
        normal.data()[i] =
            random.Normal(static_cast<std::uint64_t>(first * d + i));
      }
      Gemm(1.0, Block<double>{normal.data(), rows, d, d},
           Block<double>{factor.data(), d, d, d}, 0.0,
           Block<double>{a.row(first), rows, d, d});
    }
  });
  return a;
}

HouseholderFactor Factor(const Matrix<double>& a, const std::vector<double>& b,
                         int threads) {
  const BlasThreads blas(threads);
  const auto n = static_cast<lapack_int>(a.rows());
  const auto d = static_cast<lapack_int>(a.cols());
  std::vector<double> columns = ColumnMajor(a);
  std::vector<double> tau(At(d));
  std::vector<double> q_b = b;
  LAPACKE_dgeqrf(LAPACK_COL_MAJOR, n, d, columns.data(), n, tau.data());
  LAPACKE_dormqr(LAPACK_COL_MAJOR, 'L', 'T', n, 1, d, columns.data(), n,
                 tau.data(), q_b.data(), n);
  q_b.resize(At(d));
  HouseholderFactor factor{Matrix<double>(d, d), std::move(q_b)};
  for (Index c = 0; c < d; ++c) {
    for (Index i = 0; i <= c; ++i) {
      factor.r(i, c) = columns[At(c * a.rows() + i)];
    }
  }
  return factor;
}

std::vector<double> RepeatedSolves(const HouseholderFactor& factor,
                                   const std::vector<double>& b, int exponent,
                                   bool odd) {
  const auto d = static_cast<int>(factor.r.cols());
  const auto solve = [&](CBLAS_TRANSPOSE transpose, std::vector<double>& x) {
    cblas_dtrsv(CblasRowMajor, CblasUpper, transpose, CblasNonUnit, d,
                factor.r.data(), d, x.data(), 1);
  };
  std::vector<double> x = odd ? factor.q_b : b;
  if (odd) solve(CblasNoTrans, x);
  for (int level = 0; level < exponent; ++level) {
    solve(CblasTrans, x);
    solve(CblasNoTrans, x);
  }
  return x;
}

ExactResidual ResidualOf(const Matrix<double>& a, const std::vector<double>& b,
                         const DoubleDoubles& x, int threads) {
  const Index d = a.cols();
  std::vector<DoubleDoubles> sums(At(threads), Zeros(d));
  std::vector<long double> squares(At(threads));
  ExactResidual residual{.rows = std::vector<double>(At(a.rows())),
                         .gradient = Zeros(d)};
  InShares(a.rows(), threads, [&](int t, Index begin, Index end) {
    DoubleDoubles r = Zeros(kBlock);
    for (Index first = begin; first < end; first += kBlock) {
      const RowPanel rows{a.row(first), std::min(kBlock, end - first), d};
      DotRows(rows, x.hi.data(), x.lo.data(), r.hi.data(), r.lo.data());
      for (Index i = 0; i < rows.count; ++i) {
        const double right = b.empty() ? 0.0 : b[At(first + i)];
        const DoubleDouble left =
            Subtract({right, 0.0}, {r.hi[At(i)], r.lo[At(i)]});
        r.hi[At(i)] = left.hi;
        r.lo[At(i)] = left.lo;
        const long double value = static_cast<long double>(left.hi) + left.lo;
        residual.rows[At(first + i)] = left.hi;
        squares[At(t)] += value * value;
      }
      AddRows(rows, r.hi.data(), r.lo.data(), sums[At(t)].hi.data(),
              sums[At(t)].lo.data());
    }
  });
  for (const DoubleDoubles& sum : sums) {
    for (std::size_t i = 0; i < sum.hi.size(); ++i) {
      const DoubleDouble total =
          Add({residual.gradient.hi[i], residual.gradient.lo[i]},
              TwoSum(sum.hi[i], sum.lo[i]));
      residual.gradient.hi[i] = total.hi;
      residual.gradient.lo[i] = total.lo;
    }
  }
  for (const long double square : squares) residual.norm += square;
  residual.norm = std::sqrt(residual.norm);
  return residual;
}

Truth SolveExactly(const Matrix<double>& a, const Matrix<double>& r,
                   const std::vector<double>& b, int exponent, int threads) {
  const bool odd = b.size() == At(a.rows());
  Truth truth;
  if (odd) {
    truth = SolveLevel(a, r, b, nullptr, threads);
  } else {
    truth.x = {b, std::vector<double>(b.size())};
  }
  for (int level = 0; level < exponent; ++level) {
    Truth next = SolveLevel(a, r, {}, &truth.x, threads);
    next.last_correction =
        std::max(next.last_correction, truth.last_correction);
    truth = std::move(next);
  }
  return truth;
}

double ErrorOf(const double* x, const DoubleDoubles& y) {
  std::vector<long double> off(y.hi.size());
  for (std::size_t i = 0; i < off.size(); ++i) {
    off[i] = (static_cast<long double>(x[i]) - y.hi[i]) - y.lo[i];
  }
  return static_cast<double>(Norm(off) / Norm(y.hi));
}

RightSpectrum SpectrumOf(const Matrix<double>& r) {
  const Index d = r.cols();
  const auto extent = static_cast<lapack_int>(d);
  std::vector<double> triangle(r.data(), r.data() + r.size());
  std::vector<double> left(At(d * d));
  RightSpectrum spectrum{std::vector<double>(At(d)),
                         std::vector<double>(At(d * d))};
  LAPACKE_dgesdd(LAPACK_ROW_MAJOR, 'A', extent, extent, triangle.data(), extent,
                 spectrum.values.data(), left.data(), extent,
                 spectrum.rows.data(), extent);
  return spectrum;
}

double BackwardError(const RightSpectrum& spectrum,
                     const ExactResidual& residual,
                     const std::vector<double>& x) {
  const long double norm_x = Norm(x);
  const long double shift = residual.norm / norm_x;
  long double square = 0.0L;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double* const v = &spectrum.rows[i * x.size()];
    long double along = 0.0L;
    for (std::size_t c = 0; c < x.size(); ++c) {
      along += v[c] * (static_cast<long double>(residual.gradient.hi[c]) +
                       residual.gradient.lo[c]);
    }
    const long double s = spectrum.values[i];
    square += along * along / (s * s + shift * shift);
  }
  return static_cast<double>(std::sqrt(square) /
                             (norm_x * Norm(spectrum.values)));
}

}  // namespace steelyard::benchmarks
