// Certified softmax scores against scoring every key: our GEMM + exp in
// float64 and float32, and NumPy; recall by brute force in long double.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include "kernel/exp_tile.h"
#include "linalg/blas.h"
#include "softmax/page_kernel.h"
#include "steelyard/random.h"
#include "steelyard/softmax_index.h"
#include "tests/benchmarks/paired.h"
#include "tests/support/attention_fixture.h"

namespace steelyard::benchmarks {
namespace {

const int kWorkers = static_cast<int>(std::thread::hardware_concurrency());
constexpr Index kBlock = 64;

struct Problem {
  Matrix<float> keys;
  Matrix<float> queries;
  double scale = 1.0;
  double epsilon = 0.01;
};

// Keys in `clusters` groups whose centres are `spread` times as long as what a
// key has of its own; 0 clusters: no structure. Queries point to keys.
Problem Synthetic(Index n, Index d, Index m, Index clusters) {
  constexpr double kSpread = 3.0;
  const RandomStream own{Seed{1}, 0};
  const RandomStream centre{Seed{1}, 1};
  const RandomStream pick{Seed{1}, 2};
  Problem problem{Matrix<float>(n, d), Matrix<float>(m, d),
                  1.0 / std::sqrt(static_cast<double>(d)), 0.01};
  for (Index j = 0; j < n; ++j) {
    const std::uint64_t cluster =
        clusters == 0 ? 0
                      : pick.Bits(static_cast<std::uint64_t>(j)) %
                            static_cast<std::uint64_t>(clusters);
    for (Index c = 0; c < d; ++c) {
      const double x = own.Normal(static_cast<std::uint64_t>(j * d + c));
      const double of_cluster =
          clusters == 0
              ? 0.0
              : kSpread *
                    centre.Normal(cluster * static_cast<std::uint64_t>(d) +
                                  static_cast<std::uint64_t>(c));
      problem.keys(j, c) = static_cast<float>(0.5 * x + 0.5 * of_cluster);
    }
  }
  // Long enough that the key pointed to scores above epsilon.
  const double length = clusters == 0 ? 6.0 : 1.0;
  for (Index i = 0; i < m; ++i) {
    for (Index c = 0; c < d; ++c) {
      const double x = own.Normal(static_cast<std::uint64_t>((n + i) * d + c));
      problem.queries(i, c) = static_cast<float>(
          length * problem.keys((i * 7919) % n, c) + 0.5 * x);
    }
  }
  return problem;
}

double RowSum(const double* x, Index count, double shift) {
  return SumOfExponentials(x, count, shift);
}

double RowSum(float* x, Index count, float shift, std::vector<float>* zeros) {
  zeros->assign(static_cast<std::size_t>(count), 0.0F);
  const float offset = -shift;
  ExponentiateTile({.logits = x,
                    .rows = 1,
                    .cols = count,
                    .stride = count,
                    .row_offset = &offset,
                    .col_offset = zeros->data()});
  float sum = 0.0F;
  for (Index j = 0; j < count; ++j) sum += x[j];
  return sum;
}

// Every score of a block of queries: GEMM by blocks of keys, exp, selection.
template <typename T>
Index BruteForce(const Matrix<T>& keys, const Matrix<T>& queries,
                 const Problem& problem, const Workers& workers) {
  const Index n = keys.rows();
  const Index d = keys.cols();
  const Index m = queries.rows();
  constexpr Index kKeys = 1024;
  std::vector<Index> found(static_cast<std::size_t>(m));
  workers.ParallelFor((m + kBlock - 1) / kBlock, {}, [&](Index task) {
    const Index first = task * kBlock;
    const Index count = std::min(kBlock, m - first);
    Matrix<T> logits = Matrix<T>::Unset(count, n);
    std::vector<float> zeros;
    for (Index j = 0; j < n; j += kKeys) {
      const Index width = std::min(kKeys, n - j);
      Gemm(static_cast<T>(problem.scale),
           BlockOf(queries).Part(first, 0, count, d),
           Transposed(BlockOf(keys).Part(j, 0, width, d)), T{0},
           BlockOf(logits).Part(0, j, count, width));
    }
    for (Index i = 0; i < count; ++i) {
      T* row = logits.row(i);
      const T largest = *std::max_element(row, row + n);
      Index heavy = 0;
      if constexpr (std::is_same_v<T, double>) {
        const double z = RowSum(row, n, largest);
        const double least = largest + std::log(problem.epsilon * z);
        for (Index j = 0; j < n; ++j) heavy += row[j] >= least ? 1 : 0;
      } else {
        const double z = RowSum(row, n, largest, &zeros);
        const auto least = static_cast<T>(problem.epsilon * z);
        for (Index j = 0; j < n; ++j) heavy += row[j] >= least ? 1 : 0;
      }
      found[static_cast<std::size_t>(first + i)] = heavy;
    }
  });
  Index all = 0;
  for (const Index heavy : found) all += heavy;
  return all;
}

// Of the keys that reach epsilon in long double, the share that is in the rows;
// over about `checked` queries.
double Recall(const Problem& problem, const std::vector<HeavyRow>& rows,
              Index checked) {
  const Index m = problem.queries.rows();
  const Index n = problem.keys.rows();
  const Index d = problem.keys.cols();
  Index heavy = 0;
  Index found = 0;
  std::vector<long double> logits(static_cast<std::size_t>(n));
  for (Index i = 0; i < m; i += std::max<Index>(1, m / checked)) {
    long double largest = -1e4000L;
    for (Index j = 0; j < n; ++j) {
      long double product = 0.0L;
      for (Index c = 0; c < d; ++c) {
        product += static_cast<long double>(problem.queries(i, c)) *
                   problem.keys(j, c);
      }
      logits[static_cast<std::size_t>(j)] = problem.scale * product;
      largest = std::max(largest, logits[static_cast<std::size_t>(j)]);
    }
    long double z = 0.0L;
    for (const long double s : logits) z += std::exp(s - largest);
    const std::vector<Index>& indices =
        rows[static_cast<std::size_t>(i)].indices;
    for (Index j = 0; j < n; ++j) {
      const long double score =
          std::exp(logits[static_cast<std::size_t>(j)] - largest) / z;
      if (score < problem.epsilon) continue;
      ++heavy;
      found += std::binary_search(indices.begin(), indices.end(), j) ? 1 : 0;
    }
  }
  return heavy == 0 ? 1.0
                    : static_cast<double>(found) / static_cast<double>(heavy);
}

void WriteRaw(const std::string& path, const Matrix<float>& matrix) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(matrix.data()),
             matrix.size() * static_cast<Index>(sizeof(float)));
}

// Seconds of softmax_numpy.py; 0 where there is no NumPy. STEELYARD_PYTHON
// names the interpreter.
double NumpySeconds(const Problem& problem) {
  const char* python = std::getenv("STEELYARD_PYTHON");
  const char* folder = std::getenv("TMPDIR");
  const std::string base =
      std::string(folder == nullptr ? "/tmp" : folder) + "/steelyard_softmax_";
  WriteRaw(base + "keys", problem.keys);
  WriteRaw(base + "queries", problem.queries);
  const std::string command =
      std::string(python == nullptr ? "python3" : python) +
      " " STEELYARD_SOURCE_DIR "/tests/benchmarks/softmax_numpy.py " + base +
      "keys " + base + "queries " + std::to_string(problem.keys.rows()) + " " +
      std::to_string(problem.keys.cols()) + " " +
      std::to_string(problem.queries.rows()) + " " +
      std::to_string(problem.scale) + " " + std::to_string(problem.epsilon) +
      " 2>/dev/null";
  double seconds = 0.0;
  if (FILE* pipe = popen(command.c_str(), "r")) {
    if (std::fscanf(pipe, "%lf", &seconds) != 1) seconds = 0.0;
    pclose(pipe);
  }
  std::remove((base + "keys").c_str());
  std::remove((base + "queries").c_str());
  return seconds;
}

Matrix<double> Widened(const Matrix<float>& matrix) {
  Matrix<double> wide(matrix.rows(), matrix.cols());
  std::copy_n(matrix.data(), matrix.size(), wide.data());
  return wide;
}

struct Totals {
  double index_s = 0.0;
  double ours_s = 0.0;
  double brute_float64_s = 0.0;
  double brute_float32_s = 0.0;
  double numpy_float32_s = 0.0;
  double looked = 0.0;
  double pairs = 0.0;
  double recall = 1.0;  // the worst
  double exact_rows = 0.0;
  double undecided = 0.0;
  double members = 0.0;
  double rows = 0.0;
};

void Measure(const Problem& problem, int rounds, bool numpy, Totals* totals) {
  const Workers workers(kWorkers);
  const ComputeContext context{workers};
  const std::vector<AnyMatrixView> keys({problem.keys.view()});
  const std::vector<AnyMatrixView> queries({problem.queries.view()});
  const Matrix<double> wide_keys = Widened(problem.keys);
  const Matrix<double> wide_queries = Widened(problem.queries);
  std::vector<SoftmaxIndex> index;
  std::vector<HeavyRow> rows;
  const HeavyOptions options{.epsilon = problem.epsilon,
                             .function = Softmax{.scale = problem.scale}};
  const std::vector<double> seconds = MedianSeconds(
      {[&] { index = *BuildSoftmaxIndexes(keys, {}, context); },
       [&] { rows = *FindHeavyScores(index, queries, options, context); },
       [&] {
         benchmark::DoNotOptimize(
             BruteForce(wide_keys, wide_queries, problem, workers));
       },
       [&] {
         benchmark::DoNotOptimize(
             BruteForce(problem.keys, problem.queries, problem, workers));
       }},
      rounds);
  totals->index_s += seconds[0];
  totals->ours_s += seconds[1];
  totals->brute_float64_s += seconds[2];
  totals->brute_float32_s += seconds[3];
  if (numpy) totals->numpy_float32_s += NumpySeconds(problem);
  totals->recall = std::min(totals->recall, Recall(problem, rows, 64));
  for (const HeavyRow& row : rows) {
    totals->looked += static_cast<double>(row.keys_scored);
    totals->pairs += static_cast<double>(problem.keys.rows());
    totals->exact_rows += row.scores_upper.empty() ? 1.0 : 0.0;
    totals->members += static_cast<double>(row.indices.size());
    totals->rows += 1.0;
    for (std::size_t u = 0; u < row.scores_upper.size(); ++u) {
      if (row.scores[u] < problem.epsilon) totals->undecided += 1.0;
    }
  }
}

void ReportAll(benchmark::State& state, const Totals& totals) {
  Report(state, "index_s", totals.index_s);
  Report(state, "ours_s", totals.ours_s);
  Report(state, "brute_float64_s", totals.brute_float64_s);
  Report(state, "brute_float32_s", totals.brute_float32_s);
  Report(state, "brute_float64_over_ours",
         totals.brute_float64_s / totals.ours_s);
  Report(state, "brute_float32_over_ours",
         totals.brute_float32_s / totals.ours_s);
  if (totals.numpy_float32_s > 0.0) {
    Report(state, "numpy_float32_s", totals.numpy_float32_s);
    Report(state, "numpy_over_ours", totals.numpy_float32_s / totals.ours_s);
  }
  Report(state, "fraction_scored", totals.looked / totals.pairs);
  Report(state, "recall", totals.recall);
  Report(state, "exact_rows_fraction", totals.exact_rows / totals.rows);
  Report(state, "heavy_a_row", totals.members / totals.rows);
  Report(state, "undecided_a_row", totals.undecided / totals.rows);
}

void SoftmaxSynthetic(benchmark::State& state) {
  const Problem problem =
      Synthetic(state.range(0), state.range(1), state.range(2), state.range(3));
  Totals totals;
  for (auto iteration : state) Measure(problem, 3, true, &totals);
  ReportAll(state, totals);
}
BENCHMARK(SoftmaxSynthetic)
    ->ArgNames({"n", "d", "m", "clusters"})
    ->Args({100000, 64, 512, 500})
    ->Args({100000, 64, 512, 20})
    ->Args({100000, 64, 512, 0})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

Matrix<float> Narrow(const test::StoredMatrix<Half>& head) {
  Matrix<float> matrix(head.rows(), head.cols());
  for (Index i = 0; i < head.rows(); ++i) {
    for (Index c = 0; c < head.cols(); ++c) {
      matrix(i, c) = static_cast<float>(head(i, c));  // exact
    }
  }
  return matrix;
}

// All heads of a layer of tests/data, one after the other.
void SoftmaxRealHeads(benchmark::State& state) {
  const std::string path =
      STEELYARD_SOURCE_DIR "/tests/data/minilm_qkv.safetensors";
  const std::string layer = "layer" + std::to_string(state.range(0));
  const auto keys = test::LoadHalfHeads(path, layer + ".keys");
  const auto queries = test::LoadHalfHeads(path, layer + ".queries");
  Totals totals;
  for (auto iteration : state) {
    for (std::size_t h = 0; h < keys.size(); ++h) {
      const Problem problem{
          Narrow(keys[h]), Narrow(queries[h]),
          1.0 / std::sqrt(static_cast<double>(keys[h].cols())),
          1.0 / static_cast<double>(state.range(1))};
      Measure(problem, 3, false, &totals);
    }
  }
  ReportAll(state, totals);
}
BENCHMARK(SoftmaxRealHeads)
    ->ArgNames({"layer", "inverse_epsilon"})
    ->Args({0, 100})
    ->Args({3, 100})
    ->Args({5, 100})
    ->Args({3, 10})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

}  // namespace
}  // namespace steelyard::benchmarks
