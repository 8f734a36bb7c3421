// 64 queries against a universal set whose keys are gone: n = 1M against
// n = 10k at equal |U|, and against scoring every key (our float32 GEMM, NumPy,
// FAISS IndexFlatIP range search); recall by float64 scores of every key.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include "linalg/blas.h"
#include "steelyard/heavy_scores.h"
#include "steelyard/random.h"
#include "tests/benchmarks/paired.h"

namespace steelyard::benchmarks {
namespace {

const int kWorkers = static_cast<int>(std::thread::hardware_concurrency());
constexpr Index kMembers = 512;
constexpr Index kQueries = 64;
constexpr double kEpsilon = 0.01;

// kMembers normal keys, the same for every n, spread among n - kMembers that
// are a thousandth as long: U is the former.
Matrix<float> Keys(Index n, Index d) {
  const RandomStream members{Seed{1}, 0};
  const RandomStream others{Seed{1}, 1};
  Matrix<float> keys(n, d);
  const Index every = n / kMembers;
  for (Index j = 0; j < n; ++j) {
    const bool member = j % every == 0 && j / every < kMembers;
    const Index row = member ? j / every : j;
    const RandomStream& random = member ? members : others;
    for (Index c = 0; c < d; ++c) {
      const double x = random.Normal(static_cast<std::uint64_t>(row * d + c));
      keys(j, c) = static_cast<float>(member ? x : 1e-3 * x);
    }
  }
  return keys;
}

Matrix<float> Queries(Index d) {
  const RandomStream random{Seed{1}, 2};
  Matrix<float> queries(kQueries, d);
  for (Index i = 0; i < queries.size(); ++i) {
    queries.data()[i] =
        static_cast<float>(random.Normal(static_cast<std::uint64_t>(i)));
  }
  return queries;
}

// All products, 4096 keys at a time, which stay in cache; then Z and a scan.
template <typename T>
std::vector<std::vector<Index>> ScoreAll(const Matrix<T>& keys,
                                         const Matrix<T>& queries,
                                         const Workers& workers) {
  constexpr Index kBlock = 4096;
  const Index n = keys.rows();
  const Index d = keys.cols();
  auto scores = Matrix<T>::Unset(kQueries, n);
  workers.ParallelFor((n + kBlock - 1) / kBlock, {}, [&](Index task) {
    const Index first = task * kBlock;
    const Index count = std::min(kBlock, n - first);
    Gemm(T{1}, BlockOf(queries),
         Transposed(BlockOf(keys).Part(first, 0, count, d)), T{0},
         BlockOf(scores).Part(0, first, kQueries, count));
  });
  std::vector<std::vector<Index>> found(kQueries);
  workers.ParallelFor(kQueries, {}, [&](Index i) {
    const T* row = scores.row(i);
    double z = 0.0;
    for (Index j = 0; j < n; ++j) z += static_cast<double>(row[j]) * row[j];
    for (Index j = 0; j < n; ++j) {
      if (static_cast<double>(row[j]) * row[j] >= kEpsilon * z) {
        found[static_cast<std::size_t>(i)].push_back(j);
      }
    }
  });
  return found;
}

struct Peer {
  double seconds = 0.0;
  double found = 0.0;
};

void WriteRaw(const std::string& path, const Matrix<float>& matrix) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(matrix.data()),
             matrix.size() * static_cast<Index>(sizeof(float)));
}

// NumPy and FAISS; zeros where they are not installed. STEELYARD_PYTHON names
// the interpreter.
std::vector<Peer> PythonPeers(const Matrix<float>& keys,
                              const Matrix<float>& queries) {
  const char* python = std::getenv("STEELYARD_PYTHON");
  const char* folder = std::getenv("TMPDIR");
  const std::string base =
      std::string(folder == nullptr ? "/tmp" : folder) + "/steelyard_heavy_";
  WriteRaw(base + "keys", keys);
  WriteRaw(base + "queries", queries);
  const std::string command =
      std::string(python == nullptr ? "python3" : python) +
      " " STEELYARD_SOURCE_DIR "/tests/benchmarks/heavy_query_peers.py " +
      base + "keys " + base + "queries " + std::to_string(keys.rows()) + " " +
      std::to_string(keys.cols()) + " " + std::to_string(kQueries) + " " +
      std::to_string(kEpsilon) + " 5";
  std::vector<Peer> peers(2);
  if (FILE* pipe = popen(command.c_str(), "r")) {
    for (Peer& peer : peers) {
      if (std::fscanf(pipe, "%lf %lf", &peer.seconds, &peer.found) != 2) {
        peer = {};
      }
    }
    pclose(pipe);
  }
  std::remove((base + "keys").c_str());
  std::remove((base + "queries").c_str());
  return peers;
}

struct Found {
  double pairs = 0.0;
  double missed = 0.0;  // of the truth
};

Found Compare(const std::vector<HeavyRow>& rows,
              const std::vector<std::vector<Index>>& truth) {
  Found found;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    found.pairs += static_cast<double>(rows[i].indices.size());
    for (const Index j : truth[i]) {
      found.missed +=
          std::binary_search(rows[i].indices.begin(), rows[i].indices.end(), j)
              ? 0.0
              : 1.0;
    }
  }
  return found;
}

void ReportPeer(benchmark::State& state, const std::string& name,
                const Peer& peer, double ours) {
  if (peer.seconds == 0.0) return;
  Report(state, name + "_s", peer.seconds);
  Report(state, name + "_over_ours", peer.seconds / ours);
  Report(state, name + "_found", peer.found);
}

void HeavyQueries(benchmark::State& state) {
  const Index n = state.range(0);
  const Index few = state.range(1);
  const Index d = state.range(2);
  const Workers workers(kWorkers);
  const ComputeContext context{workers};
  const Matrix<float> keys = Keys(n, d);
  const Matrix<float> queries = Queries(d);
  const std::vector<AnyMatrixView> query_views({queries.view()});
  const std::vector<QueryableSet> large = *FindQueryableSets(
      std::vector<AnyMatrixView>{keys.view()}, {.epsilon = kEpsilon}, context);
  const Matrix<float> few_keys = Keys(few, d);
  const std::vector<QueryableSet> small =
      *FindQueryableSets(std::vector<AnyMatrixView>{few_keys.view()},
                         {.epsilon = kEpsilon}, context);
  const HeavyOptions options{.epsilon = kEpsilon};
  std::vector<HeavyRow> rows;
  for (auto iteration : state) {
    const std::vector<double> seconds = MedianSeconds(
        {[&] { rows = *FindHeavyScores(large, query_views, options, context); },
         [&] {
           benchmark::DoNotOptimize(
               *FindHeavyScores(small, query_views, options, context));
         }},
        201);
    Report(state, "ours_s", seconds[0]);
    Report(state, "ours_few_keys_s", seconds[1]);
    Report(state, "latency_ratio", seconds[0] / seconds[1]);
    const std::vector<double> all = MedianSeconds(
        {[&] { benchmark::DoNotOptimize(ScoreAll(keys, queries, workers)); }},
        5);
    Report(state, "gemm_float32_s", all[0]);
    Report(state, "gemm_float32_over_ours", all[0] / seconds[0]);
    const std::vector<Peer> peers = PythonPeers(keys, queries);
    ReportPeer(state, "numpy", peers[0], seconds[0]);
    ReportPeer(state, "faiss", peers[1], seconds[0]);
  }
  Matrix<double> wide(n, d), wide_queries(kQueries, d);
  std::copy_n(keys.data(), keys.size(), wide.data());
  std::copy_n(queries.data(), queries.size(), wide_queries.data());
  const Found found = Compare(rows, ScoreAll(wide, wide_queries, workers));
  Report(state, "ours_found", found.pairs);
  Report(state, "ours_missed", found.missed);
  Report(state, "set_size", static_cast<double>(large[0].set().indices.size()));
  Report(state, "set_size_few_keys",
         static_cast<double>(small[0].set().indices.size()));
}
BENCHMARK(HeavyQueries)
    ->ArgNames({"n", "few", "d"})
    ->Args({1000000, 10000, 64})
    ->Args({1000000, 10000, 128})
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace steelyard::benchmarks
