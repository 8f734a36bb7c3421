// y = G x for the Gaussian-scaled attention kernel, n = 32k, d = 64, in float64
// and float32, one vector and 16, against the n^2 d flops of its symmetric
// tiles at the GEMM rate of the same type, and against KeOps, NumPy and torch;
// errors against float64, entry by entry as the definition has it. By hand,
// with STEELYARD_GROWTH=1: time and memory from n = 50k to 200k, d = 32.
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#include <utility>

#include "kernel/kernel_product.h"
#include "kernel/logits.h"
#include "steelyard/random.h"
#include "tests/benchmarks/paired.h"
#include "tests/benchmarks/peers.h"

namespace steelyard::benchmarks {
namespace {

const int kWorkers = static_cast<int>(std::thread::hardware_concurrency());
constexpr Index kRounds = 5;
// Rows of y that are computed by the definition.
constexpr Index kSampleRows = 64;

Matrix<float> Normal(Index rows, Index cols, double scale,
                     std::uint64_t stream) {
  const RandomStream random{Seed{5}, stream};
  Matrix<float> a(rows, cols);
  for (Index i = 0; i < a.size(); ++i) {
    a.data()[i] = static_cast<float>(
        scale * random.Normal(static_cast<std::uint64_t>(i)));
  }
  return a;
}

Matrix<double> Widened(const Matrix<float>& a) {
  Matrix<double> wide(a.rows(), a.cols());
  std::copy_n(a.data(), a.size(), wide.data());
  return wide;
}

// Entries of y, rows spread evenly, in float64.
std::vector<double> SampledProduct(const Matrix<float>& a,
                                   const Matrix<float>& x) {
  std::vector<double> y;
  for (Index s = 0; s < kSampleRows; ++s) {
    const float* row = a.row(s * a.rows() / kSampleRows);
    double sum = 0.0;
    for (Index j = 0; j < a.rows(); ++j) {
      double square = 0.0;
      for (Index c = 0; c < a.cols(); ++c) {
        square += std::pow(static_cast<double>(row[c]) - a(j, c), 2);
      }
      sum += std::exp(-0.5 * square) * x(0, j);
    }
    y.push_back(sum);
  }
  return y;
}

// |y - truth| / |truth| over the sample.
double SampleError(const std::vector<double>& truth, const double* y, Index n) {
  double square = 0.0;
  double size = 0.0;
  for (Index s = 0; s < kSampleRows; ++s) {
    const double expected = truth[static_cast<std::size_t>(s)];
    square += std::pow(y[s * n / kSampleRows] - expected, 2);
    size += expected * expected;
  }
  return std::sqrt(square / size);
}

struct Kernel {
  Kernel(const Matrix<float>& a, const ComputeContext& context)
      : rows(*LoadKernelRows(a.view(), 1.0, KernelNormalization::kUnitDiagonal,
                             context)),
        product(rows, Offsets(), true) {}

  std::vector<double> Offsets() const {
    std::vector<double> offsets;
    for (const double q : rows.centred_square) offsets.push_back(-0.5 * q);
    return offsets;
  }

  KernelRows rows;
  KernelProduct product;
};

void WriteRaw(const std::string& path, const Matrix<float>& matrix) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(matrix.data()),
             matrix.size() * static_cast<Index>(sizeof(float)));
}

struct Peer {
  double seconds = 0.0;
  std::string version;
  std::vector<double> y;  // empty: not installed
};

// STEELYARD_PYTHON names the interpreter, TMPDIR the folder.
Peer RunPeer(const std::string& method, const Matrix<float>& a,
             const Matrix<float>& x) {
  const char* python = std::getenv("STEELYARD_PYTHON");
  const char* folder = std::getenv("TMPDIR");
  const std::string base =
      std::string(folder == nullptr ? "/tmp" : folder) + "/steelyard_product_";
  WriteRaw(base + "rows", a);
  WriteRaw(base + "x", x);
  const std::string command =
      "env -u OPENBLAS_CORETYPE " +
      std::string(python == nullptr ? "python3" : python) +
      " " STEELYARD_SOURCE_DIR "/tests/benchmarks/kernel_product_peers.py " +
      method + " " + base + "rows " + base + "x " + std::to_string(a.rows()) +
      " " + std::to_string(a.cols()) + " " + std::to_string(kWorkers) + " " +
      base + "y 2>/dev/null";
  Peer peer;
  if (FILE* pipe = popen(command.c_str(), "r")) {
    char version[128] = "";
    const bool read =
        std::fscanf(pipe, "%lf %127[^\n]", &peer.seconds, version) == 2;
    if (pclose(pipe) == 0 && read) {
      peer.version = version;
      peer.y.resize(static_cast<std::size_t>(a.rows()));
      std::ifstream(base + "y", std::ios::binary)
          .read(reinterpret_cast<char*>(peer.y.data()),
                a.rows() * static_cast<Index>(sizeof(double)));
    }
  }
  for (const char* end : {"rows", "x", "y"}) std::remove((base + end).c_str());
  return peer;
}

// Against the rate of tiles with one BLAS thread a worker: they are too small
// to be split over several.
void ReportAgainstBound(benchmark::State& state, const std::string& name,
                        double seconds, double flops, double tile_rate) {
  const double bound = flops / (kWorkers * tile_rate);
  Report(state, name + "_s", seconds);
  Report(state, name + "_of_gemm_bound", bound / seconds);
}

void KernelProductAgainstPeers(benchmark::State& state) {
  const Index n = state.range(0);
  const Index d = state.range(1);
  const Matrix<float> a =
      Normal(n, d, 1.0 / std::sqrt(static_cast<double>(d)), 0);
  const Matrix<float> x = Normal(1, n, 1.0, 1);
  const Workers workers(kWorkers);
  const ComputeContext context{workers};
  const Kernel kernel(a, context);
  const Matrix<double> one = Widened(x);
  const Matrix<double> many = Widened(Normal(16, n, 1.0, 2));
  Matrix<double> y64(1, n), y32(1, n), y(16, n);
  constexpr Index kTile = 256;
  double rate64 = 0.0, rate32 = 0.0;
  for (auto iteration : state) {
    const std::vector<double> seconds = MedianSeconds(
        {[&] { (void)kernel.product.Multiply(one, y64, context); },
         [&] { (void)kernel.product.MultiplyFloat32(one, y32, context); },
         [&] { (void)kernel.product.MultiplyFloat32(many, y, context); },
         [&] { rate64 = GemmFlopsPerSecond(kTile, d, kTile, 1); },
         [&] { rate32 = GemmFlopsPerSecondFloat(kTile, d, kTile, 1); }},
        kRounds);
    const double flops = static_cast<double>(n) * static_cast<double>(n) *
                         static_cast<double>(d);
    ReportAgainstBound(state, "float64", seconds[0], flops, rate64);
    ReportAgainstBound(state, "float32", seconds[1], flops, rate32);
    ReportAgainstBound(state, "float32_16_vectors", seconds[2], flops, rate32);
    const std::vector<double> truth = SampledProduct(a, x);
    Report(state, "float64_error", SampleError(truth, y64.data(), n));
    Report(state, "float32_error", SampleError(truth, y32.data(), n));
    std::string versions;
    for (const std::string method : {"numpy", "torch", "keops"}) {
      const Peer peer = RunPeer(method, a, x);
      if (!versions.empty()) versions += ", ";
      if (peer.y.empty()) {
        versions += method + " not installed";
        continue;
      }
      versions += peer.version;
      Report(state, method + "_s", peer.seconds);
      Report(state, method + "_over_float32", peer.seconds / seconds[1]);
      Report(state, method + "_error", SampleError(truth, peer.y.data(), n));
    }
    state.SetLabel(versions);
  }
}
BENCHMARK(KernelProductAgainstPeers)
    ->ArgNames({"n", "d"})
    ->Args({32768, 64})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

// Minutes.
void KernelProductGrowth(benchmark::State& state) {
  const Index n = state.range(0);
  const Index d = state.range(1);
  const Workers workers(kWorkers);
  const ComputeContext context{workers};
  const Matrix<float> a =
      Normal(n, d, 1.0 / std::sqrt(static_cast<double>(d)), 0);
  const Kernel kernel(a, context);
  const Matrix<double> x = Widened(Normal(1, n, 1.0, 1));
  Matrix<double> y(1, n);
  for (auto iteration : state) {
    const double seconds = MedianSeconds(
        {[&] { (void)kernel.product.MultiplyFloat32(x, y, context); }}, 3)[0];
    const double entries = static_cast<double>(n) * static_cast<double>(n);
    Report(state, "float32_s", seconds);
    Report(state, "float32_entries_per_s", entries / seconds);
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    Report(state, "resident_MiB", static_cast<double>(usage.ru_maxrss) / 1024);
  }
}
const bool kWithGrowth = [] {
  if (std::getenv("STEELYARD_GROWTH") == nullptr) return false;
  benchmark::RegisterBenchmark("KernelProductGrowth", KernelProductGrowth)
      ->ArgNames({"n", "d"})
      ->Args({50000, 32})
      ->Args({100000, 32})
      ->Args({200000, 32})
      ->Iterations(1)
      ->Unit(benchmark::kSecond);
  return true;
}();

}  // namespace
}  // namespace steelyard::benchmarks
