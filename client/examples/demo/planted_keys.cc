#include "client/examples/demo/planted_keys.h"

#include <cmath>
#include <cstring>
#include <memory>
#include <numbers>
#include <utility>

#include <Eigen/QR>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/input_tensors.h"
#include "client/cli/stopwatch.h"
#include "client/cli/text_table.h"
#include "client/examples/demo/section.h"
#include "client/verify/heavy_check.h"
#include "client/verify/universal_set_check.h"

namespace steelyard::demo {
namespace {

using cli::Brief;
using tensor_files::ElementType;
using tensor_files::StoredTensor;

constexpr double kEpsilons[] = {0.1, 0.2, 0.4};
constexpr double kAbove = 1.05;  // Times the norm that reaches epsilon.
constexpr double kBelow = 0.95;
constexpr int64_t kSizes[] = {10'000, 100'000, 1'000'000};
constexpr int64_t kRandomQueries = 8;
constexpr double kAttainingFlops = 3e9;

// A bijection of 64 bits that scatters neighbours (the finaliser of
// splitmix64).
uint64_t Scatter(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

// In (0, 1).
double UniformAt(uint64_t seed, uint64_t counter) {
  const uint64_t bits =
      Scatter(Scatter(seed) + counter * 0x9e3779b97f4a7c15ULL);
  return (static_cast<double>(bits >> 11) + 0.5) * 0x1p-53;
}

Eigen::MatrixXd OrthogonalRows(uint64_t seed) {
  Eigen::MatrixXd normal(kPlantedColumns, kPlantedColumns);
  for (Eigen::Index i = 0; i < normal.size(); ++i) {
    normal.data()[i] = NormalAt(seed, static_cast<uint64_t>(i));
  }
  return Eigen::HouseholderQR<Eigen::MatrixXd>(normal).householderQ();
}

// The norm of planted key k: the last eight lie below the smallest epsilon.
double NormOf(int64_t k, int64_t n) {
  const auto group = static_cast<std::size_t>(k / kPlantedEach);
  const bool below = group >= std::size(kEpsilons);
  const double epsilon = kEpsilons[below ? 0 : group];
  const double nu = static_cast<double>(n) / kPlantedColumns;
  return (below ? kBelow : kAbove) * std::sqrt(epsilon * nu / (1 - epsilon));
}

// What is asked about one set of keys, and what it is held against.
struct Trial {
  PlantedKeys planted;
  verify::Rows keys;
  verify::LeverageReference reference;
  StoredTensor queries;  // Attaining queries of the planted keys, random ones.
};

StoredTensor QueriesFor(const PlantedKeys& planted, const verify::Rows& keys,
                        const verify::LeverageReference& reference) {
  const auto count = static_cast<int64_t>(planted.positions.size());
  std::vector<double> numbers;
  for (const int64_t position : planted.positions) {
    const verify::RowMatrix query =
        reference.AttainingQueries(keys.Block(position, 1));
    numbers.insert(numbers.end(), query.data(), query.data() + query.size());
  }
  for (int64_t i = 0; i < kRandomQueries * kPlantedColumns; ++i) {
    numbers.push_back(NormalAt(77, static_cast<uint64_t>(i)));
  }
  return StoredTensor::Of(numbers, {count + kRandomQueries, kPlantedColumns});
}

absl::Status ShowOne(const Trial& trial, double epsilon, Stage* stage,
                     cli::TextTable* table) {
  const client::TensorView keys = cli::ViewOf(trial.planted.keys);
  const cli::Stopwatch stopwatch;
  const auto sets = stage->client.FindUniversalSet(keys, {.epsilon = epsilon});
  if (!sets.ok()) return sets.status();
  const double seconds = stopwatch.seconds();
  const auto scores = stage->client.QueryHeavy(keys, cli::ViewOf(trial.queries),
                                               {.epsilon = epsilon});
  if (!scores.ok()) return scores.status();

  const client::UniversalSet& set = sets->heads[0];
  const auto check = verify::CheckUniversalSet(
      trial.keys, trial.reference, {.epsilon = epsilon}, set, kAttainingFlops);
  const auto heavy = verify::CheckHeavyRows(trial.keys, trial.reference,
                                            verify::HeadsOf(trial.queries)[0],
                                            epsilon, scores->rows);
  verify::Verdict verdict = check.verdict;
  verdict.Append(heavy.verdict);
  const auto size = static_cast<int64_t>(set.indices.size());
  verdict.Add("U is the planted keys above epsilon",
              size == PlantedAbove(epsilon), absl::StrCat(size));
  stage->verdict.Append(verdict);
  table->AddRow(
      {absl::StrCat(set.keys), Brief(epsilon), absl::StrCat(set.rank),
       absl::StrCat(size), absl::StrCat(PlantedAbove(epsilon)),
       Brief(set.size_bound), absl::StrFormat("%.6f", check.largest_excluded),
       absl::StrCat(heavy.returned, " of ", heavy.expected),
       cli::BriefSeconds(sets->compute_time.count()),
       cli::BriefSeconds(seconds), verdict.held() ? "held" : "BROKEN"});
  return absl::OkStatus();
}

}  // namespace

double NormalAt(uint64_t seed, uint64_t counter) {
  // Box and Muller.
  const double u = UniformAt(seed, 2 * counter);
  const double v = UniformAt(seed, 2 * counter + 1);
  return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v);
}

int64_t PlantedAbove(double epsilon) {
  int64_t above = 0;
  for (const double planted : kEpsilons) {
    if (planted >= epsilon) above += kPlantedEach;
  }
  return above;
}

PlantedKeys MakePlantedKeys(int64_t n, uint64_t seed) {
  PlantedKeys planted;
  const int64_t d = kPlantedColumns;
  const double sigma = 1 / std::sqrt(static_cast<double>(d));
  auto bytes = std::make_unique<char[]>(static_cast<std::size_t>(n * d) *
                                        sizeof(Eigen::half));
  const auto put = [&bytes](int64_t at, double number) {
    const Eigen::half half(static_cast<float>(number));
    std::memcpy(bytes.get() + static_cast<std::size_t>(at) * sizeof(half),
                &half, sizeof(half));
  };
  for (int64_t i = 0; i < n * d; ++i) {
    put(i, sigma * NormalAt(seed, static_cast<uint64_t>(i)));
  }
  const Eigen::MatrixXd directions = OrthogonalRows(seed + 1);
  for (int64_t k = 0; k < d; ++k) {
    const int64_t position = (2 * k + 1) * n / (2 * d);
    planted.positions.push_back(position);
    for (int64_t c = 0; c < d; ++c) {
      put(position * d + c, NormOf(k, n) * directions(k, c));
    }
  }
  planted.keys = StoredTensor({.type = ElementType::kFloat16, .shape = {n, d}},
                              std::move(bytes));
  return planted;
}

absl::Status ShowPlantedKeys(Stage* stage) {
  stage->out
      << "\n2. Does |U| grow with n? Normal keys with 32 orthogonal ones "
         "among\n"
         "   them: 8 just above each epsilon, 8 just below 0.1, float16.\n\n";
  cli::TextTable table({"n", "epsilon", "rank", "|U|", "planted", "bound",
                        "outside", "heavy", "compute", "call", "checked"});
  for (const int64_t n : kSizes) {
    PlantedKeys planted = MakePlantedKeys(n, 2026);
    const verify::Rows keys = verify::HeadsOf(planted.keys)[0];
    verify::LeverageReference reference(keys);
    StoredTensor queries = QueriesFor(planted, keys, reference);
    Trial trial{.planted = std::move(planted),
                .keys = keys,
                .reference = std::move(reference),
                .queries = std::move(queries)};
    // The tensor has moved; its numbers have not.
    trial.keys = verify::HeadsOf(trial.planted.keys)[0];
    for (const double epsilon : kEpsilons) {
      if (auto shown = ShowOne(trial, epsilon, stage, &table); !shown.ok()) {
        return shown;
      }
    }
  }
  table.Print(stage->out);
  stage->out << "\n100 times the keys, the same U: its size is bounded by rank "
                "/ epsilon, not by n.\n'heavy': scores >= epsilon of 32 "
                "attaining and 8 random queries, found of expected.\n";
  return absl::OkStatus();
}

}  // namespace steelyard::demo
