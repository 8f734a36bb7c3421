// Least squares with a sparse matrix, 1M x 500 with 0.5 % entries, against
// SciPy's lsqr and lsmr at equal accuracy. The truth is our own answer in
// extended output. Memory beyond the inputs is counted by operator new.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include "steelyard/power_regression.h"
#include "steelyard/random.h"
#include "tests/benchmarks/paired.h"
#include "tests/support/allocation_peak.h"

namespace steelyard::benchmarks {
namespace {

const int kWorkers = static_cast<int>(std::thread::hardware_concurrency());
// Some half a minute of SciPy; what it has not reached by then is reported.
constexpr int kPeerIterations = 2000;

struct SparseProblem {
  Index n = 0;
  Index d = 0;
  std::vector<std::int64_t> offsets;
  std::vector<std::int32_t> columns;
  std::vector<double> values;
  std::vector<double> b;

  AnyCsrView a() const {
    return CsrView<double>(offsets.data(), columns.data(), values.data(), n, d,
                           static_cast<Index>(values.size()));
  }
  double bytes() const {
    return 8.0 * static_cast<double>(offsets.size()) +
           12.0 * static_cast<double>(values.size());
  }
};

// One row of normals at random places; entries of an even column 2 p appear in
// column 2 p + 1 too, whose own are scaled by fall^p.
class RowMaker {
 public:
  RowMaker(Index d, double density, double cond)
      : d_(d),
        row_(static_cast<std::size_t>(d), 0.0),
        // Half of the columns have twice as many entries.
        skip_(1.0 / std::log1p(-density / 1.5)),
        fall_(std::pow(cond, -2.0 / static_cast<double>(d - 2))) {}

  void Append(SparseProblem& problem, std::uint64_t& drawn) {
    std::fill(row_.begin(), row_.end(), 0.0);
    for (Index c = Gap(drawn); c < d_; c += 1 + Gap(drawn)) {
      const double x = numbers_.Normal(drawn);
      const auto at = static_cast<std::size_t>(c);
      if (c % 2 == 0) {
        row_[at] += x;
        if (c + 1 < d_) row_[at + 1] += x;
      } else {
        row_[at] += std::pow(fall_, static_cast<double>(c / 2)) * x;
      }
    }
    double sum = 0.0;
    for (std::size_t c = 0; c < row_.size(); ++c) {
      if (row_[c] == 0.0) continue;
      problem.columns.push_back(static_cast<std::int32_t>(c));
      problem.values.push_back(row_[c]);
      sum += row_[c];
    }
    problem.offsets.push_back(static_cast<std::int64_t>(problem.values.size()));
    problem.b.push_back(sum + 0.1 * numbers_.Normal(++drawn));
  }

 private:
  // Geometric: places without an entry before the next one.
  Index Gap(std::uint64_t& drawn) {
    const double gap = std::log(places_.Uniform(++drawn)) * skip_;
    return static_cast<Index>(std::min(gap, static_cast<double>(d_)));
  }

  Index d_;
  std::vector<double> row_;
  double skip_;
  double fall_;
  RandomStream places_{Seed{21}, 0};
  RandomStream numbers_{Seed{21}, 1};
};

// b = A 1 and noise.
SparseProblem MakeProblem(Index n, Index d, double density, double cond) {
  SparseProblem problem;
  problem.n = n;
  problem.d = d;
  problem.offsets.push_back(0);
  RowMaker maker(d, density, cond);
  std::uint64_t drawn = 0;
  for (Index i = 0; i < n; ++i) maker.Append(problem, drawn);
  return problem;
}

template <typename T>
void WriteRaw(const std::string& path, const std::vector<T>& numbers) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(numbers.data()),
             static_cast<std::streamsize>(numbers.size() * sizeof(T)));
}

struct Peer {
  double seconds = 0.0;
  double iterations = 0.0;
  double error = 0.0;
};

// lsqr and lsmr; zeros where SciPy is missing.
std::vector<Peer> RunScipy(const SparseProblem& problem,
                           const std::vector<double>& truth, double error) {
  const char* const folder = std::getenv("TMPDIR");
  const char* const python = std::getenv("STEELYARD_PYTHON");
  const std::string base =
      std::string(folder == nullptr ? "/tmp" : folder) + "/steelyard_sparse";
  WriteRaw(base + ".offsets", problem.offsets);
  WriteRaw(base + ".columns", problem.columns);
  WriteRaw(base + ".values", problem.values);
  WriteRaw(base + ".b", problem.b);
  WriteRaw(base + ".x", truth);
  const std::string command =
      "env -u OPENBLAS_CORETYPE OPENBLAS_NUM_THREADS=" +
      std::to_string(kWorkers) + " " +
      std::string(python == nullptr ? "python3" : python) +
      " " STEELYARD_SOURCE_DIR "/tests/benchmarks/sparse_least_squares.py " +
      base + " " + std::to_string(problem.n) + " " + std::to_string(problem.d) +
      " " + std::to_string(std::log10(error)) + " " +
      std::to_string(kPeerIterations) + " 2>/dev/null";
  std::vector<Peer> peers(2);
  if (FILE* const pipe = popen(command.c_str(), "r")) {
    for (Peer& peer : peers) {
      if (std::fscanf(pipe, "%lf %lf %lf", &peer.seconds, &peer.iterations,
                      &peer.error) != 3) {
        peer = {};
      }
    }
    pclose(pipe);
  }
  for (const char* const part : {"offsets", "columns", "values", "b", "x"}) {
    std::remove((base + "." + part).c_str());
  }
  return peers;
}

double Distance(const Matrix<double>& x, const std::vector<double>& y) {
  double square = 0.0;
  double size = 0.0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double difference = x(static_cast<Index>(i), 0) - y[i];
    square += difference * difference;
    size += y[i] * y[i];
  }
  return std::sqrt(square / size);
}

void ReportMemory(benchmark::State& state, const SparseProblem& problem,
                  double bytes) {
  const double limit =
      3.0 * problem.bytes() + 64.0 * static_cast<double>(problem.n);
  Report(state, "additional_MB", bytes / 1e6);
  Report(state, "additional_over_limit", bytes / limit);
  Report(state, "csr_MB", problem.bytes() / 1e6);
  Report(state, "entries", static_cast<double>(problem.values.size()));
}

void SparseLeastSquaresAgainstScipy(benchmark::State& state) {
  const SparseProblem problem =
      MakeProblem(state.range(0), state.range(1), 0.005,
                  static_cast<double>(state.range(2)));
  const MatrixView<double> b(problem.b.data(), problem.n, 1);
  const Workers workers(kWorkers);
  PowerRegressionOptions options;
  options.family = PowerFamily::kLeftGramPower;
  options.exponent = 0;
  Solution ours;
  double bytes = 0.0;
  double seconds = 0.0;
  for (auto iteration : state) {
    seconds = MedianSeconds(
        {[&] {
          const test::AllocationPeak peak;
          ours = *SolvePowerRegression(problem.a(), b, options,
                                       ComputeContext{workers});
          bytes = std::max(bytes, static_cast<double>(peak.bytes()));
        }},
        5)[0];
  }
  options.extended_output = true;
  const Solution truth =
      *SolvePowerRegression(problem.a(), b, options, ComputeContext{workers});
  const std::vector<double> x(truth.x.data(), truth.x.data() + problem.d);
  const double error = std::max(Distance(ours.x, x), 0x1p-53);
  const std::vector<Peer> peers = RunScipy(problem, x, error);
  std::fprintf(stderr, "%s\n", ours.report.method.c_str());
  Report(state, "ours_s", seconds);
  Report(state, "our_forward_error", error);
  Report(state, "our_forward_error_reported", ours.report.forward_error[0]);
  Report(state, "our_excess_residual", ours.report.excess_residual[0]);
  Report(state, "condition", ours.report.condition_estimate);
  const char* const names[] = {"lsqr", "lsmr"};
  for (std::size_t i = 0; i < peers.size(); ++i) {
    const std::string name = names[i];
    Report(state, name + "_s", peers[i].seconds);
    Report(state, name + "_over_ours", peers[i].seconds / seconds);
    Report(state, name + "_forward_error", peers[i].error);
    Report(state, name + "_iterations", peers[i].iterations);
  }
  ReportMemory(state, problem, bytes);
}
BENCHMARK(SparseLeastSquaresAgainstScipy)
    ->ArgNames({"n", "d", "cond"})
    ->Args({1000000, 500, 100})
    ->Args({1000000, 500, 10000})
    ->Args({1000000, 500, 1000000})
    ->Args({1000000, 500, 1000000000})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

}  // namespace
}  // namespace steelyard::benchmarks
