// How long a processor goes on after a solve on a stored matrix, or a kernel
// regression, is cancelled, by the phase that it was in. Target: 100 ms.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "benchmark/benchmark.h"
#include "server/factors/solve_groups.h"
#include "steelyard/attention_kernel_regression.h"
#include "steelyard/matrix.h"
#include "steelyard/random.h"
#include "tests/benchmarks/paired.h"

namespace steelyard::benchmarks {
namespace {

using server::FactorCache;
using server::Gate;
using server::RequestContext;
using server::SharedSolve;
using server::SolveGroups;
using Clock = std::chrono::steady_clock;

struct Shape {
  Index n;
  Index d;
};

struct Problem {
  explicit Problem(const Shape& shape) : a(shape.n, shape.d), b(shape.n, 1) {
    const RandomStream random{.seed = {1}, .stream = 1};
    for (Index i = 0; i < a.size(); ++i) {
      a.data()[i] = random.Normal(static_cast<std::uint64_t>(i));
    }
    for (Index i = 0; i < b.size(); ++i) b.data()[i] = a.data()[i * shape.d];
  }
  Matrix<double> a;
  Matrix<double> b;
};

SharedSolve RequestOf(const Problem& problem,
                      const PowerRegressionOptions& options) {
  const Matrix<double>& a = problem.a;
  const Matrix<double>& b = problem.b;
  return {.matrix = {.id = "a", .serial = 1},
          .shape = {.n = a.rows(), .d = a.cols(), .k = 1},
          .options = options,
          .open_a =
              [&a](const ComputeContext&) {
                return std::make_shared<const DenseOrCsr>(AnyMatrixView(
                    MatrixView<double>(a.data(), a.rows(), a.cols())));
              },
          .open_b =
              [&b](const ComputeContext&) {
                return std::make_shared<const AnyMatrixView>(
                    MatrixView<double>(b.data(), b.rows(), b.cols()));
              }};
}

// Seconds from a cancel some time into `phase` to the end of the work;
// negative: the work was over before.
double SecondsAfterCancel(const Problem& problem,
                          const PowerRegressionOptions& options,
                          const std::string& phase,
                          std::chrono::milliseconds into) {
  const Workers workers(
      static_cast<int>(std::max(1u, std::thread::hardware_concurrency())));
  FactorCache cache(0);
  SolveGroups groups(cache, workers.count());
  Gate gate(workers,
            {.memory_budget = std::int64_t{1} << 40, .queue_length = 1});
  std::atomic<bool> cancelled{false};
  std::atomic<bool> in_phase{false};
  RequestContext context({.method = "/benchmark",
                          .request_id = "1",
                          .deadline = {},
                          .cancelled = [&] { return cancelled.load(); }});
  Clock::time_point at;
  std::thread caller([&] {
    while (!in_phase) std::this_thread::yield();
    std::this_thread::sleep_for(into);
    at = Clock::now();
    cancelled = true;
  });
  const auto answer = groups.Solve(
      gate, context, RequestOf(problem, options),
      {.progress = [&in_phase, phase](const ProgressUpdate& update) {
        if (update.phase == phase) in_phase = true;
      }});
  in_phase = true;  // never seen: let the thread go
  while (gate.running() != 0) std::this_thread::yield();
  const Clock::time_point end = Clock::now();
  caller.join();
  if (answer.ok()) return -1.0;
  return std::chrono::duration<double>(end - at).count();
}

void CancelLatency(benchmark::State& state, const Shape& shape,
                   const PowerRegressionOptions& options) {
  const Problem problem(shape);
  for (auto _ : state) {
    for (const std::string phase :
         {"scan", "sketch", "factor", "iterate", "verify"}) {
      double worst = -1.0;
      for (const int ms : {0, 3, 10, 30, 100, 300}) {
        worst =
            std::max(worst, SecondsAfterCancel(problem, options, phase,
                                               std::chrono::milliseconds(ms)));
      }
      if (worst >= 0.0) Report(state, phase + "_worst_ms", 1e3 * worst);
    }
  }
}

// The same of a kernel regression, without the server.
double SecondsAfterKernelCancel(const Problem& problem,
                                const AttentionKernelOptions& options,
                                const std::string& phase,
                                std::chrono::milliseconds into) {
  const Workers workers(
      static_cast<int>(std::max(1u, std::thread::hardware_concurrency())));
  StopSource source;
  std::atomic<bool> in_phase{false};
  Clock::time_point at;
  std::thread caller([&] {
    while (!in_phase) std::this_thread::yield();
    std::this_thread::sleep_for(into);
    at = Clock::now();
    source.RequestStop(StopReason::kCancelled);
  });
  const auto answer = SolveAttentionKernelRegression(
      problem.a.view(), problem.b.view(), options,
      {.workers = workers,
       .stop = source.token(),
       .progress = [&in_phase, phase](const ProgressUpdate& update) {
         if (update.phase == phase) in_phase = true;
       }});
  const Clock::time_point end = Clock::now();
  in_phase = true;  // never seen: let the thread go
  caller.join();
  return answer.ok() ? -1.0 : std::chrono::duration<double>(end - at).count();
}

// Rows of length about 1, or 10: scales e^50 and more apart.
void KernelCancelLatency(benchmark::State& state, const Shape& shape,
                         double length, AttentionKernelOptions options) {
  Problem problem(shape);
  for (Index i = 0; i < problem.a.size(); ++i) {
    problem.a.data()[i] *= length / std::sqrt(static_cast<double>(shape.d));
  }
  options.ridge = 1e-2;
  options.tolerance = 1e-10;
  for (auto _ : state) {
    for (const std::string phase :
         {"scan", "probe", "factor", "iterate", "refine", "verify"}) {
      double worst = -1.0;
      for (const int ms : {0, 3, 10, 30, 100, 300, 1000}) {
        worst = std::max(
            worst, SecondsAfterKernelCancel(problem, options, phase,
                                            std::chrono::milliseconds(ms)));
      }
      if (worst >= 0.0) Report(state, phase + "_worst_ms", 1e3 * worst);
    }
  }
}

constexpr auto kUnitDiagonal = KernelNormalization::kUnitDiagonal;
BENCHMARK_CAPTURE(KernelCancelLatency, Gradients_16k_64, Shape{16384, 64}, 1.0,
                  AttentionKernelOptions{.normalization = kUnitDiagonal})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);
BENCHMARK_CAPTURE(KernelCancelLatency, Gradients_8k_1024, Shape{8192, 1024},
                  1.0, AttentionKernelOptions{.normalization = kUnitDiagonal})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);
BENCHMARK_CAPTURE(KernelCancelLatency, Cholesky_8k_64, Shape{8192, 64}, 1.0,
                  AttentionKernelOptions{.normalization = kUnitDiagonal,
                                         .method = KernelMethod::kCholesky})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);
BENCHMARK_CAPTURE(KernelCancelLatency, Softmax_16k_64, Shape{16384, 64}, 1.0,
                  AttentionKernelOptions{
                      .normalization = KernelNormalization::kSoftmaxRows})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);
BENCHMARK_CAPTURE(KernelCancelLatency, Wide_16k_32, Shape{16384, 32}, 10.0,
                  AttentionKernelOptions{})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);
BENCHMARK_CAPTURE(KernelCancelLatency, Blocks_50k_32, Shape{50000, 32}, 1.0,
                  AttentionKernelOptions{
                      .normalization = kUnitDiagonal,
                      .method = KernelMethod::kBlockCoordinate})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

BENCHMARK_CAPTURE(CancelLatency, LeastSquares_400k_256, Shape{400000, 256},
                  PowerRegressionOptions{.family = PowerFamily::kLeftGramPower,
                                         .exponent = 0})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);
BENCHMARK_CAPTURE(CancelLatency, Odd2_131k_1024, Shape{131072, 1024},
                  PowerRegressionOptions{.family = PowerFamily::kLeftGramPower,
                                         .exponent = 2})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);
BENCHMARK_CAPTURE(CancelLatency, Qr_131k_512, Shape{131072, 512},
                  PowerRegressionOptions{.family = PowerFamily::kLeftGramPower,
                                         .exponent = 1,
                                         .method = PowerMethod::kQr})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);
BENCHMARK_CAPTURE(CancelLatency, Sketch_131k_512, Shape{131072, 512},
                  PowerRegressionOptions{.family = PowerFamily::kLeftGramPower,
                                         .exponent = 1,
                                         .method = PowerMethod::kSketch})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);
BENCHMARK_CAPTURE(CancelLatency, DoubleDouble_100k_128, Shape{100000, 128},
                  PowerRegressionOptions{.family = PowerFamily::kLeftGramPower,
                                         .exponent = 2,
                                         .extended_output = true})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

}  // namespace
}  // namespace steelyard::benchmarks
