// y = G x for the Gaussian-scaled attention kernel, n = 32k, d = 64, in float64
// and float32, against the n^2 d flops of its symmetric tiles at the GEMM rate
// of the same type, and against the plain road: one block of rows of exp(.)
// after the other, each tile used once.
#include <algorithm>
#include <cblas.h>
#include <cmath>
#include <thread>

#include "kernel/kernel_product.h"
#include "kernel/logits.h"
#include "steelyard/random.h"
#include "tests/benchmarks/paired.h"
#include "tests/benchmarks/peers.h"

namespace steelyard::benchmarks {
namespace {

const int kWorkers = static_cast<int>(std::thread::hardware_concurrency());

Matrix<float> Normal(Index rows, Index cols, double scale) {
  const RandomStream random{Seed{5}, 0};
  Matrix<float> a(rows, cols);
  for (Index i = 0; i < a.size(); ++i) {
    a.data()[i] =
        static_cast<float>(scale * random.Normal(static_cast<std::uint64_t>(i)));
  }
  return a;
}

// The plain road, 256 rows at a time: GEMM, exp, product with x.
Matrix<double> PlainProduct(const KernelRows& rows,
                            const std::vector<double>& offsets,
                            const Matrix<double>& x, const Workers& workers) {
  const Index n = rows.rows();
  const Index d = rows.cols();
  constexpr Index kRows = 256;
  Matrix<double> y(1, n);
  workers.ParallelFor((n + kRows - 1) / kRows, {}, [&](Index task) {
    const Index first = task * kRows;
    const Index count = std::min(kRows, n - first);
    Matrix<double> tile(count, n);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans,
                static_cast<int>(count), static_cast<int>(n),
                static_cast<int>(d), rows.scale, rows.centred.row(first),
                static_cast<int>(d), rows.centred.data(), static_cast<int>(d),
                0.0, tile.data(), static_cast<int>(n));
    for (Index i = 0; i < count; ++i) {
      double sum = 0.0;
      for (Index j = 0; j < n; ++j) {
        const double logit = tile(i, j) +
                             offsets[static_cast<std::size_t>(first + i)] +
                             offsets[static_cast<std::size_t>(j)];
        sum += std::exp(std::min(0.0, logit)) * x(0, j);
      }
      y(0, first + i) = sum;
    }
  });
  return y;
}

double RelativeDistance(const Matrix<double>& x, const Matrix<double>& y) {
  double square = 0.0;
  double size = 0.0;
  for (Index i = 0; i < x.size(); ++i) {
    square += std::pow(x.data()[i] - y.data()[i], 2);
    size += y.data()[i] * y.data()[i];
  }
  return std::sqrt(square / size);
}

void KernelProductAgainstGemm(benchmark::State& state) {
  const Index n = state.range(0);
  const Index d = state.range(1);
  const Matrix<float> a =
      Normal(n, d, 1.0 / std::sqrt(static_cast<double>(d)));
  const Workers workers(kWorkers);
  const ComputeContext context{workers};
  const KernelRows rows = *LoadKernelRows(
      a.view(), 1.0, KernelNormalization::kUnitDiagonal, context);
  std::vector<double> offsets;
  for (const double square : rows.centred_square) {
    offsets.push_back(-0.5 * square);
  }
  KernelProduct product(rows, offsets, true);
  const RandomStream random{Seed{6}, 0};
  Matrix<double> x(1, n), y64(1, n), y32(1, n), plain;
  for (Index i = 0; i < n; ++i) {
    x(0, i) = random.Normal(static_cast<std::uint64_t>(i));
  }
  for (auto iteration : state) {
    const std::vector<double> seconds = MedianSeconds(
        {[&] { (void)product.Multiply(x, y64, context); },
         [&] { (void)product.MultiplyFloat32(x, y32, context); },
         [&] { plain = PlainProduct(rows, offsets, x, workers); }},
        3);
    const double entries = static_cast<double>(n) * static_cast<double>(n);
    const double flops = entries * static_cast<double>(d);
    const Index tile = KernelTileRows(d);
    // One BLAS thread a worker: a tile is too small to be split over several.
    const double bound64 =
        flops / (kWorkers * GemmFlopsPerSecond(tile, d, tile, 1));
    const double bound32 =
        flops / (kWorkers * GemmFlopsPerSecondFloat(tile, d, tile, 1));
    Report(state, "float64_s", seconds[0]);
    Report(state, "float64_over_gemm_bound", seconds[0] / bound64);
    Report(state, "float64_entries_per_s", entries / seconds[0]);
    Report(state, "float32_s", seconds[1]);
    Report(state, "float32_over_gemm_bound", seconds[1] / bound32);
    Report(state, "float32_entries_per_s", entries / seconds[1]);
    Report(state, "peer_plain_s", seconds[2]);
    Report(state, "peer_over_float64", seconds[2] / seconds[0]);
  }
  Report(state, "float64_error", RelativeDistance(y64, plain));
  Report(state, "float32_error", RelativeDistance(y32, plain));
}
BENCHMARK(KernelProductAgainstGemm)
    ->ArgNames({"n", "d"})
    ->Args({32768, 64})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

}  // namespace
}  // namespace steelyard::benchmarks
