// Universal sets for |x|^p on real keys and three synthetic spectra: the size
// of U by bounds alone, after refinement, and exact; recall by brute force with
// random queries and the query that attains each key's sensitivity.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>
#include <thread>

#include "sensitivity/interval_refinement.h"
#include "sensitivity/sensitivity_set.h"
#include "steelyard/one_pass.h"
#include "steelyard/random.h"
#include "steelyard/universal_set.h"
#include "tests/benchmarks/paired.h"
#include "tests/support/attention_fixture.h"

namespace steelyard::benchmarks {
namespace {

const int kWorkers = static_cast<int>(std::thread::hardware_concurrency());
constexpr Index kSyntheticRows = 2000;
constexpr Index kSyntheticColumns = 32;

enum Data { kMiniLm, kFlat, kFalling, kHeavyRows };

// Normal keys; falling: columns from 1 to 1e-4; heavy rows: each times a number
// of Cauchy's distribution. Coordinates do not matter: sensitivities are those
// of any rotation.
Matrix<double> Synthetic(Data data) {
  const RandomStream random{Seed{7}, static_cast<std::uint64_t>(data)};
  const RandomStream lengths{Seed{8}, static_cast<std::uint64_t>(data)};
  Matrix<double> keys(kSyntheticRows, kSyntheticColumns);
  for (Index i = 0; i < keys.rows(); ++i) {
    const auto at = static_cast<std::uint64_t>(i);
    const double length =
        data == kHeavyRows ? lengths.Normal(2 * at) / lengths.Normal(2 * at + 1)
                           : 1.0;
    for (Index c = 0; c < keys.cols(); ++c) {
      const double fall =
          data == kFalling
              ? std::pow(1e-4, static_cast<double>(c) /
                                   static_cast<double>(keys.cols() - 1))
              : 1.0;
      // A square column makes falling ones uneven: powers of normal numbers.
      const double x =
          random.Normal(static_cast<std::uint64_t>(i * keys.cols() + c));
      keys(i, c) = length * fall * (data == kFalling ? x * std::abs(x) : x);
    }
  }
  return keys;
}

std::vector<Matrix<double>> Heads(Data data) {
  std::vector<Matrix<double>> heads;
  if (data != kMiniLm) {
    heads.push_back(Synthetic(data));
    return heads;
  }
  for (const auto& stored : test::LoadHalfHeads(
           STEELYARD_SOURCE_DIR "/tests/data/minilm_qkv.safetensors",
           "layer3.keys")) {
    Matrix<double> keys(stored.rows(), stored.cols());
    for (Index i = 0; i < keys.rows(); ++i) {
      for (Index c = 0; c < keys.cols(); ++c) keys(i, c) = stored(i, c);
    }
    heads.push_back(std::move(keys));
  }
  return heads;
}

// Scores >= epsilon of one query on keys outside the set; `found` counts all.
void CountScores(const Matrix<double>& rows, const double* query, double p,
                 double epsilon, const std::vector<Index>& members,
                 double* heavy, double* missed) {
  std::vector<double> powers(static_cast<std::size_t>(rows.rows()));
  double largest = 0.0;
  for (Index i = 0; i < rows.rows(); ++i) {
    double product = 0.0;
    for (Index c = 0; c < rows.cols(); ++c) product += rows(i, c) * query[c];
    powers[static_cast<std::size_t>(i)] = std::abs(product);
    largest = std::max(largest, std::abs(product));
  }
  double total = 0.0;
  for (double& power : powers) {
    power = std::pow(power / largest, p);
    total += power;
  }
  for (Index i = 0; i < rows.rows(); ++i) {
    if (powers[static_cast<std::size_t>(i)] < epsilon * total) continue;
    *heavy += 1.0;
    if (!std::binary_search(members.begin(), members.end(), i)) *missed += 1.0;
  }
}

// Keys in blocks of 100, as a stream would bring them.
double OnePassSize(const Matrix<double>& keys, double p, double epsilon,
                   const ComputeContext& context) {
  OnePassOptions options;
  options.columns = keys.cols();
  options.storage = StorageType::kFloat64;
  options.epsilon = epsilon;
  options.function = Power{p};
  OnePassUniversalSet pass = *OnePassUniversalSet::Create(options);
  constexpr Index kBlock = 100;
  for (Index first = 0; first < keys.rows(); first += kBlock) {
    const Index count = std::min(kBlock, keys.rows() - first);
    if (!pass.Add(MatrixView<double>(keys.row(first), count, keys.cols()),
                  context)
             .ok()) {
      return -1.0;
    }
  }
  return static_cast<double>(pass.Snapshot(context)->indices.size());
}

struct Sizes {
  double bounds = 0.0;
  double refined = 0.0;
  double certain = 0.0;  // proved members: at most the exact set
  double one_pass = 0.0;
  double heavy = 0.0;
  double missed = 0.0;
  double error = 0.0;
};

// Brute force over the whitened keys (the same scores): random queries, and for
// every key the best query that a refinement to its value finds.
void CheckRecall(const Matrix<double>& keys, double p, double epsilon,
                 const UniversalSet& set, const ComputeContext& context,
                 Sizes* sizes) {
  const FactoredKeys factored = *FactorKeys(keys.view(), 0, context);
  const WhitenedKeys white = *WhitenKeys(keys.view(), factored, context);
  const TermBounds term =
      *ComputeTermBounds(white, factored.scores, p, context);
  for (const double upper : term.upper) sizes->bounds += upper >= epsilon;
  KeyRefiner refiner(white, term.certificate, term.lewis);
  const RandomStream random{Seed{3}, 1};
  std::vector<double> query(static_cast<std::size_t>(white.rank()));
  for (Index j = 0; j < white.rows(); ++j) {
    for (Index c = 0; c < white.rank(); ++c) {
      query[static_cast<std::size_t>(c)] =
          random.Normal(static_cast<std::uint64_t>(j * white.rank() + c));
    }
    CountScores(white.x, query.data(), p, epsilon, set.indices, &sizes->heavy,
                &sizes->missed);
    SensitivityInterval interval;
    refiner.Refine(j, {.epsilon = 0.0, .value = true, .steps_max = 40}, context,
                   &interval);
    CountScores(white.x, refiner.query().data(), p, epsilon, set.indices,
                &sizes->heavy, &sizes->missed);
  }
}

void PowerSets(benchmark::State& state) {
  const auto data = static_cast<Data>(state.range(0));
  const double p = static_cast<double>(state.range(1)) / 10.0;
  const double epsilon = static_cast<double>(state.range(2)) / 1000.0;
  const Workers workers(kWorkers);
  const ComputeContext context{workers};
  const std::vector<Matrix<double>> heads = Heads(data);
  Sizes sizes;
  double seconds = 0.0;
  for (auto iteration : state) {
    for (const Matrix<double>& keys : heads) {
      UniversalSet set;
      const auto begin = std::chrono::steady_clock::now();
      set = *FindUniversalSet(
          keys.view(), {.epsilon = epsilon, .function = Power{p}}, context);
      seconds += std::chrono::duration<double>(
                     std::chrono::steady_clock::now() - begin)
                     .count();
      sizes.refined += static_cast<double>(set.indices.size());
      sizes.certain +=
          static_cast<double>(set.indices.size() - set.undecided.size());
      sizes.error = std::max(sizes.error, set.relative_score_error);
      sizes.one_pass += OnePassSize(keys, p, epsilon, context);
      CheckRecall(keys, p, epsilon, set, context, &sizes);
    }
  }
  Report(state, "ours_s", seconds);
  Report(state, "keys",
         static_cast<double>(heads.front().rows()) *
             static_cast<double>(heads.size()));
  Report(state, "size_bounds_alone", sizes.bounds);
  Report(state, "size_refined", sizes.refined);
  Report(state, "size_proved", sizes.certain);
  Report(state, "size_one_pass", sizes.one_pass);
  Report(state, "refined_over_proved",
         sizes.certain > 0.0 ? sizes.refined / sizes.certain : 1.0);
  Report(state, "scores_heavy", sizes.heavy);
  Report(state, "recall",
         sizes.heavy > 0.0 ? 1.0 - sizes.missed / sizes.heavy : 1.0);
  Report(state, "value_error", sizes.error);
}

void EveryCase(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"data", "ten_p", "epsilon_milli"});
  for (const int data : {kMiniLm, kFlat, kFalling, kHeavyRows}) {
    for (const int ten_p : {10, 15, 30, 40, 60}) {
      // Sensitivities grow with p; an epsilon that some keys reach.
      const int epsilon = data == kMiniLm ? (ten_p <= 15 ? 12 : 100) : 10;
      benchmark->Args({data, ten_p, epsilon});
    }
  }
}
BENCHMARK(PowerSets)->Apply(EveryCase)->Iterations(1)->Unit(benchmark::kSecond);

}  // namespace
}  // namespace steelyard::benchmarks
