// (G + 0.01 I) x = b for the Gaussian-scaled attention kernel to 1e-8, n = 16k,
// d = 64, rows of three lengths, against forming the matrix and Cholesky by
// LAPACK (dpotrf, dpotrs), and against GPyTorch's linear_cg with a pivoted
// Cholesky preconditioner. Every residual is recomputed in float64 by one and
// the same product. n = 200k by hand, with STEELYARD_HUGE_BENCHMARKS=1 and
// --benchmark_filter=Huge.
#include <cblas.h>
#include <lapacke.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "kernel/kernel_product.h"
#include "kernel/logits.h"
#include "kernel/scaled_system.h"
#include "steelyard/attention_kernel_regression.h"
#include "steelyard/random.h"
#include "tests/benchmarks/paired.h"
#include "tests/benchmarks/peers.h"

namespace steelyard::benchmarks {
namespace {

const int kWorkers = static_cast<int>(std::thread::hardware_concurrency());
constexpr double kRidge = 0.01;

// Rows of N(0, norm^2 / d I).
Matrix<double> Rows(Index n, Index d, double norm) {
  const RandomStream random{Seed{5}, 0};
  Matrix<double> a(n, d);
  for (Index i = 0; i < a.size(); ++i) {
    a.data()[i] = norm / std::sqrt(static_cast<double>(d)) *
                  random.Normal(static_cast<std::uint64_t>(i));
  }
  return a;
}

Matrix<double> RightHandSides(Index n, Index k) {
  const RandomStream random{Seed{6}, 0};
  Matrix<double> b(n, k);
  for (Index i = 0; i < b.size(); ++i) {
    b.data()[i] = random.Normal(static_cast<std::uint64_t>(i));
  }
  return b;
}

double Seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
      .count();
}

// |b - (G + l I) x| / |b| of the worst column, x and b n x k.
double Residual(const Matrix<double>& a, const Matrix<double>& b,
                const Matrix<double>& x) {
  const Workers workers(kWorkers);
  const ComputeContext context{workers};
  const KernelRows rows = *LoadKernelRows(
      a.view(), 1.0, KernelNormalization::kUnitDiagonal, context);
  std::vector<double> offsets;
  for (const double square : rows.centred_square) {
    offsets.push_back(-0.5 * square);
  }
  const KernelProduct product(rows, offsets, true);
  Matrix<double> v(x.cols(), x.rows());
  Matrix<double> gv(x.cols(), x.rows());
  for (Index i = 0; i < x.rows(); ++i) {
    for (Index c = 0; c < x.cols(); ++c) v(c, i) = x(i, c);
  }
  (void)product.Multiply(v, gv, context);
  double worst = 0.0;
  for (Index c = 0; c < x.cols(); ++c) {
    double square = 0.0;
    double size = 0.0;
    for (Index i = 0; i < x.rows(); ++i) {
      square += std::pow(b(i, c) - gv(c, i) - kRidge * v(c, i), 2);
      size += b(i, c) * b(i, c);
    }
    worst = std::max(worst, std::sqrt(square / size));
  }
  return worst;
}

// The matrix as a user would form it: squared lengths and one dgemm, exp; then
// dpotrf and dpotrs, all on as many threads as we have workers.
Matrix<double> ByLapack(const Matrix<double>& a, const Matrix<double>& b) {
  const Index n = a.rows();
  const Index d = a.cols();
  const BlasThreads threads(kWorkers);
  auto g = Matrix<double>::Unset(n, n);
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, static_cast<int>(n),
              static_cast<int>(n), static_cast<int>(d), 1.0, a.data(),
              static_cast<int>(d), a.data(), static_cast<int>(d), 0.0, g.data(),
              static_cast<int>(n));
  std::vector<double> half(static_cast<std::size_t>(n));
  for (Index i = 0; i < n; ++i)
    half[static_cast<std::size_t>(i)] = 0.5 * g(i, i);
  const Workers workers(kWorkers);
  workers.ParallelFor(n, {}, [&](Index i) {
    double* const row = g.row(i);
    for (Index j = 0; j < n; ++j) {
      row[j] = std::exp(row[j] - half[static_cast<std::size_t>(i)] -
                        half[static_cast<std::size_t>(j)]);
    }
    row[i] += kRidge;
  });
  std::vector<double> x = ColumnMajor(b);
  const auto size = static_cast<lapack_int>(n);
  // The matrix is symmetric: row-major or not is the same.
  (void)LAPACKE_dpotrf(LAPACK_COL_MAJOR, 'L', size, g.data(), size);
  (void)LAPACKE_dpotrs(LAPACK_COL_MAJOR, 'L', size,
                       static_cast<lapack_int>(b.cols()), g.data(), size,
                       x.data(), size);
  Matrix<double> out(n, b.cols());
  for (Index i = 0; i < n; ++i) {
    for (Index c = 0; c < b.cols(); ++c) {
      out(i, c) = x[static_cast<std::size_t>(c * n + i)];
    }
  }
  return out;
}

void WriteRaw(const std::string& path, const Matrix<double>& numbers) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(numbers.data()),
             static_cast<std::streamsize>(numbers.size() * 8));
}

struct Peer {
  double seconds = 0.0;
  double residual = 1.0;
};

// Zeros where GPyTorch is missing.
Peer ByGpytorch(const Matrix<double>& a, const Matrix<double>& b) {
  const char* const folder = std::getenv("TMPDIR");
  const char* const python = std::getenv("STEELYARD_PYTHON");
  const std::string base =
      std::string(folder == nullptr ? "/tmp" : folder) + "/steelyard_kernel";
  WriteRaw(base + ".a", a);
  WriteRaw(base + ".b", b);
  const std::string command =
      std::string("env -u OPENBLAS_CORETYPE ") +
      (python == nullptr ? "python3" : python) +
      " " STEELYARD_SOURCE_DIR "/tests/benchmarks/kernel_solve_gpytorch.py " +
      base + " " + std::to_string(a.rows()) + " " + std::to_string(a.cols()) +
      " " + std::to_string(b.cols()) + " " + std::to_string(kRidge) + " 1e-8 " +
      std::to_string(kWorkers) + " 2>/dev/null";
  Peer peer;
  if (FILE* const pipe = popen(command.c_str(), "r")) {
    if (std::fscanf(pipe, "%lf", &peer.seconds) == 1) {
      Matrix<double> x(b.rows(), b.cols());
      std::ifstream(base + ".x", std::ios::binary)
          .read(reinterpret_cast<char*>(x.data()),
                static_cast<std::streamsize>(x.size() * 8));
      peer.residual = Residual(a, b, x);
    } else {
      std::fprintf(stderr, "GPyTorch: not installed\n");
    }
    pclose(pipe);
  }
  for (const char* const end : {".a", ".b", ".x"}) {
    std::remove((base + end).c_str());
  }
  return peer;
}

double PeakMegabytes() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    if (word != "VmHWM:") continue;
    double kilobytes = 0.0;
    status >> kilobytes;
    return kilobytes / 1024.0;
  }
  return 0.0;
}

void Describe(benchmark::State& state, const Solution& solution) {
  std::string label = solution.report.method;
  for (const PreconditionerTrial& trial : solution.report.trials) {
    char text[120];
    std::snprintf(text, sizeof(text), "; tried %s rank %d: %.3g in %d",
                  NameOf(trial.preconditioner), static_cast<int>(trial.rank),
                  trial.contraction, trial.iterations);
    label += text;
  }
  state.SetLabel(label);
  Report(state, "iterations", solution.report.iterations);
  Report(state, "converged",
         solution.report.termination == Termination::kConverged ? 1.0 : 0.0);
}

void KernelSolveAgainstDense(benchmark::State& state) {
  const Index n = state.range(0);
  const Index d = state.range(1);
  const double norm = 0.01 * static_cast<double>(state.range(2));
  const Index k = state.range(3);
  const Matrix<double> a = Rows(n, d, norm);
  const Matrix<double> b = RightHandSides(n, k);
  const Workers workers(kWorkers);
  const AttentionKernelOptions options{
      .normalization = KernelNormalization::kUnitDiagonal, .ridge = kRidge};
  Solution ours;
  for (auto iteration : state) {
    const auto solve = [&] {
      ours = *SolveAttentionKernelRegression(a.view(), b.view(), options,
                                             {workers});
    };
    double seconds = Seconds(solve);
    Matrix<double> dense;
    const double peer = Seconds([&] { dense = ByLapack(a, b); });
    seconds = std::min(seconds, Seconds(solve));
    Report(state, "ours_s", seconds);
    Report(state, "peer_dpotrf_s", peer);
    Report(state, "dpotrf_over_ours", peer / seconds);
    Report(state, "peer_dpotrf_residual", Residual(a, b, dense));
    const Peer gpytorch = ByGpytorch(a, b);
    Report(state, "peer_gpytorch_s", gpytorch.seconds);
    Report(state, "gpytorch_over_ours", gpytorch.seconds / seconds);
    Report(state, "peer_gpytorch_residual", gpytorch.residual);
  }
  Report(state, "ours_residual", Residual(a, b, ours.x));
  Describe(state, ours);
}
BENCHMARK(KernelSolveAgainstDense)
    ->ArgNames({"n", "d", "norm_percent", "k"})
    ->Args({16384, 64, 100, 1})
    ->Args({16384, 64, 300, 1})
    ->Args({16384, 64, 1000, 1})
    ->Args({16384, 64, 300, 8})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

// By hand: minutes. Memory is that of the whole process.
void HugeKernelSolve(benchmark::State& state) {
  const Index n = state.range(0);
  const Index d = 32;
  const Matrix<double> a = Rows(n, d, 1.0);
  const Matrix<double> b = RightHandSides(n, 1);
  const Workers workers(kWorkers);
  const AttentionKernelOptions options{
      .normalization = KernelNormalization::kUnitDiagonal,
      .ridge = kRidge,
      .tolerance = 1e-6};
  for (auto iteration : state) {
    Solution ours;
    const double seconds = Seconds([&] {
      ours = *SolveAttentionKernelRegression(
          a.view(), b.view(), options,
          {.workers = workers, .progress = [](const ProgressUpdate& update) {
             std::fprintf(stderr, "%s %d %.3g\n",
                          std::string(update.phase).c_str(), update.iteration,
                          update.relative_residual.value_or(-1.0));
           }});
    });
    Report(state, "ours_s", seconds);
    Report(state, "peak_mb", PeakMegabytes());
    Report(state, "residual", ours.report.relative_residual[0]);
    Describe(state, ours);
  }
}
[[maybe_unused]] const bool kHuge = [] {
  const char* const wanted = std::getenv("STEELYARD_HUGE_BENCHMARKS");
  if (wanted == nullptr) return false;
  benchmark::RegisterBenchmark("HugeKernelSolve", HugeKernelSolve)
      ->ArgNames({"n"})
      ->Args({50000})
      ->Args({200000})
      ->Iterations(1)
      ->Unit(benchmark::kSecond);
  return true;
}();

}  // namespace
}  // namespace steelyard::benchmarks
