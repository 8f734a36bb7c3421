// Universal set, p = 2: 1M x 128 float32 keys against LAPACK QR in this
// process, SciPy's QR, NumPy's Gram, and the GEMM bound of 2 n d^2 flops; the
// fast mode against the direct one; 256 heads of bfloat16 in one call. Accuracy
// of all against a QR in float64.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <optional>
#include <thread>

#include "steelyard/random.h"
#include "steelyard/universal_set.h"
#include "tests/benchmarks/paired.h"
#include "tests/benchmarks/peers.h"
#include "tests/benchmarks/python_peer.h"

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
  std::vector<double> fall;
  for (Index c = 0; c < d; ++c) {
    fall.push_back(
        std::pow(cond, -static_cast<double>(c) / static_cast<double>(d - 1)));
  }
  Matrix<float> keys(n, d);
  std::vector<double> row(static_cast<std::size_t>(d));
  for (Index i = 0; i < n; ++i) {
    double product = 0.0;
    for (Index c = 0; c < d; ++c) {
      const auto at = static_cast<std::size_t>(c);
      row[at] =
          fall[at] * random.Normal(static_cast<std::uint64_t>((i + 1) * d + c));
      product += row[at] * mirror[at];
    }
    for (Index c = 0; c < d; ++c) {
      const auto at = static_cast<std::size_t>(c);
      const double mixed = row[at] - 2.0 * product / square * mirror[at];
      keys(i, c) =
          static_cast<float>(i % kHeavyEvery == 0 ? 300.0 * mixed : mixed);
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

// By a Householder QR in float64.
std::vector<double> Truth(const float* keys, Index n, Index d) {
  Matrix<double> wide(n, d);
  std::copy_n(keys, wide.size(), wide.data());
  const BlasThreads blas(kWorkers);
  return QrLeverages(wide);
}

UniversalSetOptions Options(double epsilon, Selection selection) {
  UniversalSetOptions options{.epsilon = epsilon};
  options.selection = selection;
  return options;
}

// Seconds, ratio and error of a method of leverage_scores.py. SciPy's QR is run
// once: it takes many seconds.
void ReportPython(benchmark::State& state, const PythonPeer& peer,
                  const std::string& method, double ours,
                  const std::vector<double>& truth) {
  const std::optional<PythonScores> scores =
      peer.Run(method, method == "qr" ? 1 : 3, kWorkers);
  if (!scores.has_value()) {
    std::fprintf(stderr, "no NumPy and SciPy: STEELYARD_PYTHON names one\n");
    return;
  }
  std::fprintf(stderr, "%s\n", scores->versions.c_str());
  const std::string name = (method == "qr" ? "scipy_" : "numpy_") + method;
  Report(state, name + "_s", scores->seconds);
  Report(state, name + "_over_ours", scores->seconds / ours);
  // NaN: the peer did not reach a result, and its time says nothing.
  Report(state, name + "_error",
         std::isnan(scores->first_head.front())
             ? std::nan("")
             : LargestRelativeError(scores->first_head, truth));
}

void UniversalSetAgainstQr(benchmark::State& state) {
  const Index n = state.range(0);
  const Index d = state.range(1);
  const Matrix<float> keys = Keys(n, d, static_cast<double>(state.range(2)));
  const Workers workers(kWorkers);
  const ComputeContext context{workers};
  UniversalSet set;
  std::vector<double> peer;
  double ours = 0.0;
  for (auto iteration : state) {
    const std::vector<double> seconds = MedianSeconds(
        {[&] {
           set = *FindUniversalSet(keys.view(), {.epsilon = 0.01}, context);
         },
         [&] {
           benchmark::DoNotOptimize(FindUniversalSet(
               keys.view(), Options(0.01, Selection::kDirect), context));
         },
         [&] {
           const BlasThreads blas(kWorkers);
           peer = QrLeverages(keys);
         }},
        3);
    ours = seconds[0];
    const double gemm = GemmFlopsPerSecond(1024, d, d, kWorkers);
    const double flops = 2.0 * static_cast<double>(n) * static_cast<double>(d) *
                         static_cast<double>(d);
    Report(state, "ours_s", ours);
    Report(state, "ours_direct_s", seconds[1]);
    Report(state, "lapack_qr_s", seconds[2]);
    Report(state, "lapack_qr_over_ours", seconds[2] / ours);
    Report(state, "gemm_gflops", gemm / 1e9);
    Report(state, "ours_over_gemm_bound", ours / (flops / gemm));
    Report(state, "ours_direct_over_gemm_bound", seconds[1] / (flops / gemm));
  }
  const std::vector<double> truth = Truth(keys.data(), n, d);
  const PythonPeer python(keys.data(), 1, n, d);
  ReportPython(state, python, "gram", ours, truth);
  ReportPython(state, python, "qr", ours, truth);
  // All scores, for the accuracy.
  const UniversalSet all =
      *FindUniversalSet(keys.view(), {.top_m = n}, context);
  Report(state, "our_error", LargestRelativeError(all.sensitivities, truth));
  Report(state, "our_error_bound", all.relative_score_error);
  Report(state, "lapack_qr_error", LargestRelativeError(peer, truth));
  Report(state, "set_size", static_cast<double>(set.indices.size()));
}
BENCHMARK(UniversalSetAgainstQr)
    ->ArgNames({"n", "d", "cond"})
    ->Args({1000000, 128, 10})
    ->Args({1000000, 128, 10000})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

void FastAgainstDirect(benchmark::State& state) {
  const Index n = state.range(0);
  const Index d = state.range(1);
  const Matrix<float> keys = Keys(n, d, static_cast<double>(state.range(2)));
  const Workers workers(kWorkers);
  const ComputeContext context{workers};
  const auto find = [&](Selection selection) {
    return *FindUniversalSet(keys.view(), Options(0.01, selection), context);
  };
  UniversalSet direct;
  UniversalSet fast;
  UniversalSet sketched;
  for (auto iteration : state) {
    const std::vector<double> seconds = MedianSeconds(
        {[&] { direct = find(Selection::kDirect); },
         [&] { fast = find(Selection::kFast); },
         [&] { sketched = find(Selection::kJohnsonLindenstrauss); }},
        7);
    Report(state, "direct_s", seconds[0]);
    Report(state, "fast_s", seconds[1]);
    Report(state, "sketched_s", seconds[2]);
    Report(state, "direct_over_fast", seconds[0] / seconds[1]);
    Report(state, "direct_over_sketched", seconds[0] / seconds[2]);
  }
  std::fprintf(stderr, "%s\n", fast.method.c_str());
  const bool same = fast.indices == direct.indices &&
                    fast.sensitivities == direct.sensitivities &&
                    fast.exact == direct.exact;
  if (!same) state.SkipWithError("the fast set is another");
  Report(state, "same_set", same ? 1.0 : 0.0);
  Report(state, "same_set_sketched",
         sketched.indices == direct.indices ? 1.0 : 0.0);
  Report(state, "set_size", static_cast<double>(direct.indices.size()));
}
BENCHMARK(FastAgainstDirect)
    ->ArgNames({"n", "d", "cond"})
    ->Args({1000000, 128, 1})
    ->Args({1000000, 128, 10})
    ->Args({1000000, 128, 10000})
    ->Args({400000, 512, 1})
    ->Args({400000, 512, 10})
    ->Args({400000, 512, 10000})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

void HeadsInOneCall(benchmark::State& state) {
  const Index heads = state.range(0);
  const Index n = state.range(1);
  const Index d = state.range(2);
  // Float32 numbers that bfloat16 holds exactly: the same keys for everybody.
  Matrix<float> keys = Keys(heads * n, d, 10.0);
  std::vector<BFloat16> stored(static_cast<std::size_t>(keys.size()));
  for (Index i = 0; i < keys.size(); ++i) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, keys.data() + i, sizeof(bits));
    bits &= 0xffff0000U;
    std::memcpy(keys.data() + i, &bits, sizeof(bits));
    stored[static_cast<std::size_t>(i)].bits =
        static_cast<std::uint16_t>(bits >> 16);
  }
  std::vector<AnyMatrixView> views;
  for (Index h = 0; h < heads; ++h) {
    views.push_back(MatrixView<BFloat16>(stored.data() + h * n * d, n, d));
  }
  const Workers workers(kWorkers);
  const ComputeContext context{workers};
  double ours = 0.0;
  for (auto iteration : state) {
    ours = MedianSeconds(
        {[&] {
          benchmark::DoNotOptimize(FindUniversalSets(
              views, Options(0.05, Selection::kAutomatic), context));
        }},
        5)[0];
    Report(state, "ours_s", ours);
  }
  const std::vector<double> truth = Truth(keys.data(), n, d);
  const PythonPeer python(keys.data(), heads, n, d);
  ReportPython(state, python, "gram", ours, truth);
  ReportPython(state, python, "qr", ours, truth);
  const UniversalSet all = *FindUniversalSet(views[0], {.top_m = n}, context);
  Report(state, "our_error", LargestRelativeError(all.sensitivities, truth));
  Report(state, "our_error_bound", all.relative_score_error);
}
BENCHMARK(HeadsInOneCall)
    ->ArgNames({"heads", "n", "d"})
    ->Args({256, 8192, 128})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

}  // namespace
}  // namespace steelyard::benchmarks
