// Least squares and (A'A)^2 x = b, 400k x 256 float64, against LAPACK on as many
// threads as we have workers. Accuracy of both against the known solution.
#include <algorithm>
#include <cmath>
#include <thread>

#include "steelyard/power_regression.h"
#include "steelyard/random.h"
#include "tests/benchmarks/paired.h"
#include "tests/benchmarks/peers.h"

namespace steelyard::benchmarks {
namespace {

const int kWorkers = static_cast<int>(std::thread::hardware_concurrency());

// Normal entries, columns falling from 1 to 1 / cond and mixed by a reflection.
Matrix<double> TallMatrix(Index n, Index d, double cond) {
  const RandomStream random{Seed{7}, 0};
  Matrix<double> a(n, d);
  const double mean = 1.0 / std::sqrt(static_cast<double>(d));
  for (Index i = 0; i < n; ++i) {
    double product = 0.0;
    for (Index c = 0; c < d; ++c) {
      const double fall =
          std::pow(cond, -static_cast<double>(c) / static_cast<double>(d - 1));
      a(i, c) = fall * random.Normal(static_cast<std::uint64_t>(i * d + c));
      product += a(i, c) * mean;
    }
    for (Index c = 0; c < d; ++c) a(i, c) -= 2.0 * product * mean;
  }
  return a;
}

std::vector<double> Times(const Matrix<double>& a,
                          const std::vector<double>& x) {
  std::vector<double> y(static_cast<std::size_t>(a.rows()));
  for (Index i = 0; i < a.rows(); ++i) {
    double sum = 0.0;
    for (Index c = 0; c < a.cols(); ++c) {
      sum += a(i, c) * x[static_cast<std::size_t>(c)];
    }
    y[static_cast<std::size_t>(i)] = sum;
  }
  return y;
}

double Norm(const std::vector<double>& x) {
  double square = 0.0;
  for (const double value : x) square += value * value;
  return std::sqrt(square);
}

double Distance(const std::vector<double>& x, const double* y) {
  double square = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    square += (x[i] - y[i]) * (x[i] - y[i]);
  }
  return std::sqrt(square);
}

void ReportTimes(benchmark::State& state, const std::vector<double>& seconds,
                 Index n, Index d) {
  const double gemm = GemmFlopsPerSecond(1024, d, d, kWorkers);
  // One Gram: the least that any of this can take.
  const double bound = static_cast<double>(n) * static_cast<double>(d) *
                       static_cast<double>(d) / gemm;
  Report(state, "ours_s", seconds[0]);
  Report(state, "peer_s", seconds[1]);
  Report(state, "peer_over_ours", seconds[1] / seconds[0]);
  Report(state, "ours_over_gram_bound", seconds[0] / bound);
}

void LeastSquaresAgainstDgels(benchmark::State& state) {
  const Index n = state.range(0);
  const Index d = state.range(1);
  const Matrix<double> a =
      TallMatrix(n, d, static_cast<double>(state.range(2)));
  const RandomStream random{Seed{8}, 0};
  std::vector<double> b = Times(a, std::vector<double>(
                                       static_cast<std::size_t>(d), 1.0));
  for (std::size_t i = 0; i < b.size(); ++i) b[i] += 0.1 * random.Normal(i);
  const MatrixView<double> right_hand_side(b.data(), n, 1);
  const Workers workers(kWorkers);
  Solution ours;
  std::vector<double> peer;
  for (auto iteration : state) {
    ReportTimes(state,
                MedianSeconds(
                    {[&] {
                       PowerRegressionOptions options;
                       options.family = PowerFamily::kLeftGramPower;
                       options.exponent = 0;
                       ours = *SolvePowerRegression(a.view(), right_hand_side,
                                                    options,
                                                    ComputeContext{workers});
                     },
                     [&] {
                       const BlasThreads blas(kWorkers);
                       peer = GelsSolution(a, b);
                     }},
                    3),
                n, d);
  }
  // |x - y| / |x|: the two answers side by side; neither is the truth.
  Report(state, "distance", Distance(peer, ours.x.data()) / Norm(peer));
  std::vector<double> mine(ours.x.data(), ours.x.data() + d);
  Report(state, "our_residual", Distance(Times(a, mine), b.data()) / Norm(b));
  Report(state, "peer_residual", Distance(Times(a, peer), b.data()) / Norm(b));
  Report(state, "our_forward_error", ours.report.forward_error[0]);
}
BENCHMARK(LeastSquaresAgainstDgels)
    ->ArgNames({"n", "d", "cond"})
    ->Args({400000, 256, 100})
    ->Args({400000, 256, 1000000})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

void SquareAgainstQr(benchmark::State& state) {
  const Index n = state.range(0);
  const Index d = state.range(1);
  const Matrix<double> a =
      TallMatrix(n, d, static_cast<double>(state.range(2)));
  const RandomStream random{Seed{9}, 0};
  std::vector<double> b(static_cast<std::size_t>(d));
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = random.Normal(i);
  const MatrixView<double> right_hand_side(b.data(), d, 1);
  const Workers workers(kWorkers);
  PowerRegressionOptions options;
  options.exponent = 2;
  Solution ours;
  std::vector<double> peer;
  for (auto iteration : state) {
    ReportTimes(state,
                MedianSeconds(
                    {[&] {
                       ours = *SolvePowerRegression(a.view(), right_hand_side,
                                                    options,
                                                    ComputeContext{workers});
                     },
                     [&] {
                       const BlasThreads blas(kWorkers);
                       peer = QrPowerSolution(a, b, 2);
                     }},
                    3),
                n, d);
  }
  // The truth to float64: our own extended output.
  options.extended_output = true;
  const Solution truth = *SolvePowerRegression(
      a.view(), right_hand_side, options, ComputeContext{workers});
  std::vector<double> mine(ours.x.data(), ours.x.data() + d);
  Report(state, "our_forward_error_measured",
         Distance(mine, truth.x.data()) / Norm(mine));
  Report(state, "our_forward_error_reported", ours.report.forward_error[0]);
  Report(state, "peer_forward_error_measured",
         Distance(peer, truth.x.data()) / Norm(mine));
}
BENCHMARK(SquareAgainstQr)
    ->ArgNames({"n", "d", "cond"})
    ->Args({400000, 256, 100})
    ->Args({400000, 256, 10000})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

}  // namespace
}  // namespace steelyard::benchmarks
