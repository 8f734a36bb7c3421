// Universal set, p = 2, 1M x 128 float32 keys, against LAPACK QR in float32 and
// the GEMM bound of its 2 n d^2 flops; accuracy of both against a QR in float64.
#include <algorithm>
#include <cmath>
#include <thread>

#include "steelyard/random.h"
#include "steelyard/universal_set.h"
#include "tests/benchmarks/paired.h"
#include "tests/benchmarks/peers.h"

namespace steelyard::benchmarks {
namespace {

const int kWorkers = static_cast<int>(std::thread::hardware_concurrency());

// One key in so many is 300 times as long: those make the set.
constexpr Index kHeavyEvery = 50000;

// Normal keys whose columns fall from 1 to 1 / cond, then mixed by Householder
// reflections so that scaling columns does not undo it.
Matrix<float> Keys(Index n, Index d, double cond) {
  const RandomStream random{Seed{42}, 0};
  std::vector<double> mirror(static_cast<std::size_t>(d));
  double square = 0.0;
  for (Index c = 0; c < d; ++c) {
    const double x = random.Normal(static_cast<std::uint64_t>(c));
    mirror[static_cast<std::size_t>(c)] = x;
    square += x * x;
  }
  Matrix<float> keys(n, d);
  std::vector<double> row(static_cast<std::size_t>(d));
  for (Index i = 0; i < n; ++i) {
    double product = 0.0;
    for (Index c = 0; c < d; ++c) {
      const double fall =
          std::pow(cond, -static_cast<double>(c) / static_cast<double>(d - 1));
      const auto at = static_cast<std::size_t>(c);
      row[at] = fall * random.Normal(static_cast<std::uint64_t>((i + 1) * d + c));
      product += row[at] * mirror[at];
    }
    for (Index c = 0; c < d; ++c) {
      const auto at = static_cast<std::size_t>(c);
      const double mixed = row[at] - 2.0 * product / square * mirror[at];
      keys(i, c) = static_cast<float>(i % kHeavyEvery == 0 ? 300.0 * mixed
                                                           : mixed);
    }
  }
  return keys;
}

double LargestRelativeError(const std::vector<double>& scores,
                            const std::vector<double>& truth) {
  double largest = 0.0;
  for (std::size_t j = 0; j < truth.size(); ++j) {
    largest = std::max(largest, std::abs(scores[j] - truth[j]) / truth[j]);
  }
  return largest;
}

void UniversalSetAgainstQr(benchmark::State& state) {
  const Index n = state.range(0);
  const Index d = state.range(1);
  const double cond = static_cast<double>(state.range(2));
  const Matrix<float> keys = Keys(n, d, cond);
  const Workers workers(kWorkers);
  UniversalSet set;
  std::vector<double> peer;
  for (auto iteration : state) {
    const std::vector<double> seconds = MedianSeconds(
        {[&] {
           set = *FindUniversalSet(keys.view(), {.epsilon = 0.01},
                                   ComputeContext{workers});
         },
         [&] {
           const BlasThreads blas(kWorkers);
           peer = QrLeverages(keys);
         }},
        3);
    const double gemm = GemmFlopsPerSecond(1024, d, d, kWorkers);
    const double flops = 2.0 * static_cast<double>(n) *
                         static_cast<double>(d) * static_cast<double>(d);
    Report(state, "ours_s", seconds[0]);
    Report(state, "peer_s", seconds[1]);
    Report(state, "peer_over_ours", seconds[1] / seconds[0]);
    Report(state, "ours_over_gemm_bound", seconds[0] / (flops / gemm));
  }
  // All scores, for the accuracy.
  const UniversalSet all = *FindUniversalSet(keys.view(), {.top_m = n},
                                             ComputeContext{workers});
  Matrix<double> wide(n, d);
  std::copy_n(keys.data(), keys.size(), wide.data());
  const BlasThreads blas(kWorkers);
  const std::vector<double> truth = QrLeverages(wide);
  Report(state, "our_error", LargestRelativeError(all.sensitivities, truth));
  Report(state, "our_error_bound", all.relative_score_error);
  Report(state, "peer_error", LargestRelativeError(peer, truth));
  Report(state, "set_size", static_cast<double>(set.indices.size()));
}
BENCHMARK(UniversalSetAgainstQr)
    ->ArgNames({"n", "d", "cond"})
    ->Args({1000000, 128, 10})
    ->Args({1000000, 128, 10000})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

}  // namespace
}  // namespace steelyard::benchmarks
