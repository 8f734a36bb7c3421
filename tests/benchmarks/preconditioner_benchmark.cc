// The choice of a preconditioner by probing beside every single choice, on 24
// kernels: matrix products to a residual of 1e-8, the making of a factor and
// the probing included as flops over those of one product, n^2 (d + 2); where a
// product is float32, a flop of a factor in float64 counts twice. Steps are
// counted in float64. Without an interpreter that has scikit-learn its digits
// are left out.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "kernel/softmax_rows.h"
#include "preconditioner/choose_preconditioner.h"
#include "preconditioner/factor_work.h"
#include "preconditioner/probe.h"
#include "preconditioner/random_pivots.h"
#include "steelyard/random.h"
#include "tests/benchmarks/paired.h"
#include "tests/support/attention_fixture.h"

namespace steelyard::benchmarks {
namespace {

constexpr double kGoal = 1e-8;
constexpr int kStepsMax = 600;
constexpr Index kDigits = 1797;

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

const int kWorkers = static_cast<int>(std::thread::hardware_concurrency());

// Four heads of a layer, 2048 x 32.
Matrix<double> Keys(const std::string& tensor, std::size_t first_head) {
  const auto heads = test::LoadHalfHeads(
      STEELYARD_SOURCE_DIR "/tests/data/minilm_qkv.safetensors", tensor);
  Matrix<double> a(0, 0);
  if (heads.size() < first_head + 4) return a;
  const Index n = heads[0].rows();
  const Index d = heads[0].cols();
  a = Matrix<double>(4 * n, d);
  for (Index i = 0; i < a.rows(); ++i) {
    for (Index c = 0; c < d; ++c) {
      a(i, c) = heads[first_head + At(i / n)](i % n, c);
    }
  }
  return a;
}

// 1797 images of 8 x 8 pixels in [0, 1].
Matrix<double> Digits() {
  const char* python = std::getenv("STEELYARD_PYTHON");
  const std::string command =
      std::string(python == nullptr ? "python3" : python) +
      " -c 'import sklearn.datasets as s\n"
      "for row in s.load_digits().data: print(*row)' 2>/dev/null";
  Matrix<double> a(kDigits, 64);
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return {};
  bool complete = true;
  for (Index i = 0; i < a.size() && complete; ++i) {
    complete = std::fscanf(pipe, "%lf", a.data() + i) == 1;
    a.data()[i] /= 16.0;
  }
  return pclose(pipe) == 0 && complete ? std::move(a) : Matrix<double>();
}

// Rows of length about `norm`.
Matrix<double> Cloud(Index n, Index d, double norm, std::uint64_t seed = 1) {
  const RandomStream stream{.seed = {seed}, .stream = 7};
  Matrix<double> a(n, d);
  for (Index i = 0; i < a.size(); ++i) {
    a.data()[i] = norm / std::sqrt(static_cast<double>(d)) *
                  stream.Normal(static_cast<std::uint64_t>(i));
  }
  return a;
}

Matrix<double> Clusters(Index n, Index d) {
  const Matrix<double> centres = Cloud(20, d, 3.0, 9);
  Matrix<double> a = Cloud(n, d, 0.3, 10);
  for (Index i = 0; i < n; ++i) {
    for (Index c = 0; c < d; ++c) a(i, c) += centres(i % 20, c);
  }
  return a;
}

// Lengths from `least` to `most`, evenly in their logarithm.
Matrix<double> Uneven(Index n, Index d, double least, double most) {
  Matrix<double> a = Cloud(n, d, 1.0, 11);
  for (Index i = 0; i < n; ++i) {
    const double length =
        least * std::pow(most / least, static_cast<double>(i % 97) / 96.0);
    for (Index c = 0; c < d; ++c) a(i, c) *= length;
  }
  return a;
}

struct Case {
  const char* name;
  Matrix<double> (*rows)();
  double scale;
  KernelNormalization normalization;
  double ridge;
};

constexpr auto kNone = KernelNormalization::kNone;
constexpr auto kUnit = KernelNormalization::kUnitDiagonal;
constexpr auto kSoftmax = KernelNormalization::kSoftmaxRows;
const double kHead = 1.0 / std::sqrt(32.0);
constexpr Index kN = 2000;

const Case kCases[] = {
    {"keys_0_unit_1e-2", [] { return Keys("layer0.keys", 0); }, kHead, kUnit,
     1e-2},
    {"keys_3_unit_1e-2", [] { return Keys("layer3.keys", 0); }, kHead, kUnit,
     1e-2},
    {"keys_5_unit_1e-4", [] { return Keys("layer5.keys", 0); }, kHead, kUnit,
     1e-4},
    {"keys_0_none_1e-2", [] { return Keys("layer0.keys", 4); }, kHead, kNone,
     1e-2},
    {"keys_3_none_1", [] { return Keys("layer3.keys", 4); }, kHead, kNone, 1.0},
    {"keys_5_softmax_1e-2", [] { return Keys("layer5.keys", 4); }, kHead,
     kSoftmax, 1e-2},
    {"keys_3_softmax_1e-4", [] { return Keys("layer3.keys", 0); }, kHead,
     kSoftmax, 1e-4},
    {"keys_3_short_unit_1e-3", [] { return Keys("layer3.keys", 0); },
     kHead / 22.6, kUnit, 1e-3},
    {"digits_0.1_unit_1e-2", Digits, 0.1, kUnit, 1e-2},
    {"digits_0.3_unit_1e-3", Digits, 0.3, kUnit, 1e-3},
    {"digits_0.5_none_1", Digits, 0.5, kNone, 1.0},
    {"digits_2_unit_1e-4", Digits, 2.0, kUnit, 1e-4},
    {"cloud_d2_norm1_unit_1e-3", [] { return Cloud(kN, 2, 1.0); }, 1.0, kUnit,
     1e-3},
    {"cloud_d2_norm3_unit_1e-2", [] { return Cloud(kN, 2, 3.0); }, 1.0, kUnit,
     1e-2},
    {"cloud_d8_norm0.3_unit_1e-4", [] { return Cloud(kN, 8, 0.3); }, 1.0, kUnit,
     1e-4},
    {"cloud_d8_norm1_unit_1e-2", [] { return Cloud(kN, 8, 1.0); }, 1.0, kUnit,
     1e-2},
    {"cloud_d8_norm3_unit_1e-2", [] { return Cloud(kN, 8, 3.0); }, 1.0, kUnit,
     1e-2},
    {"cloud_d64_norm1_unit_1e-2", [] { return Cloud(kN, 64, 1.0); }, 1.0, kUnit,
     1e-2},
    {"cloud_d64_norm3_unit_1e-2", [] { return Cloud(kN, 64, 3.0); }, 1.0, kUnit,
     1e-2},
    {"clusters_d16_unit_1e-3", [] { return Clusters(kN, 16); }, 1.0, kUnit,
     1e-3},
    {"clusters_d16_none_1", [] { return Clusters(kN, 16); }, 1.0, kNone, 1.0},
    {"uneven_d8_none_1e-2", [] { return Uneven(kN, 8, 0.01, 5.0); }, 1.0, kNone,
     1e-2},
    {"uneven_d8_none_100", [] { return Uneven(kN, 8, 0.1, 4.0); }, 1.0, kNone,
     100.0},
    {"uneven_d8_softmax_1e-2", [] { return Uneven(kN, 8, 0.1, 3.0); }, 1.0,
     kSoftmax, 1e-2},
};

// One way to solve, and what it takes.
struct Single {
  std::string name;
  std::shared_ptr<const Preconditioner> preconditioner;
  double build_products = 0.0;
  double products = -1.0;  // to kGoal; -1: not within the steps that were made
};

class Grid {
 public:
  Grid(const PreconditionerSource& source, const ComputeContext& context)
      : source_(source), context_(context), work_(source) {}

  void AddAll() {
    for (const auto kind :
         {KernelPreconditioner::kNone, KernelPreconditioner::kJacobi}) {
      Add(kind == KernelPreconditioner::kNone ? "none" : "jacobi",
          MakePreconditioner(kind, 0, source_, context_), 0.0);
    }
    RandomPivots scaled(source_);
    for (const double size : {0.5, 1.0, 2.0, 4.0}) {
      const Index rank = Rank(size);
      if (!scaled.Grow(rank, context_).ok()) return;
      Add("rp_cholesky_" + std::to_string(rank),
          MakeRpCholesky(scaled, rank, source_, context_),
          FactorProducts(std::min(rank, scaled.columns())));
    }
    AddTextbook();
    for (const double size : {1.0, 2.0}) AddSketch("sketch_", Rank(size));
    double level = 1.0;
    double columns = 1.0;
    const auto d = static_cast<double>(source_.rows.cols());
    for (int l = 1; l <= 4; ++l) {
      level *= (d + l - 1) / l;
      columns += level;
      if (columns > static_cast<double>(Rank(4.0))) break;
      AddSketch("monomials_", static_cast<Index>(std::lround(columns)));
    }
  }

  void AddSketch(const std::string& name, Index rank) {
    Add(name + std::to_string(rank),
        MakePreconditioner(KernelPreconditioner::kPolynomialSketch, rank,
                           source_, context_),
        work_.ProductsOfSketch(rank));
  }

  void Add(const std::string& name,
           absl::StatusOr<std::shared_ptr<const Preconditioner>> made,
           double build_products) {
    if (!made.ok()) return;
    singles_.push_back({name, *std::move(made), build_products});
  }

  // All side by side, until what is left cannot be within the limit of the
  // best.
  void Run() {
    Probe probe(source_);
    std::vector<Index> running;
    for (const Single& single : singles_) {
      running.push_back(*probe.Add(*single.preconditioner, context_));
    }
    double best = kStepsMax;
    for (int step = 1;
         step <= kStepsMax && !running.empty() && step < 1.5 * best + 20.0;
         ++step) {
      if (!probe.Step(running, context_).ok()) return;
      std::erase_if(running, [&](Index run) {
        if (probe.run(run).residuals.back() > kGoal) {
          return probe.run(run).broken;
        }
        Single& single = singles_[At(run)];
        single.products = step + single.build_products;
        best = std::min(best, single.products);
        return true;
      });
    }
  }

  const std::vector<Single>& singles() const { return singles_; }

 private:
  Index Rank(double size) const {
    const auto n = static_cast<double>(source_.rows.rows());
    const auto width = static_cast<double>(source_.rows.cols() + 2);
    return std::min(
        source_.rows.rows(),
        static_cast<Index>(std::lround(size * std::sqrt(n * width))));
  }
  double FactorProducts(Index rank) const {
    return work_.ProductsToGrow(0, rank) +
           work_.ProductsToInvert(KernelPreconditioner::kRpCholesky, rank);
  }

  // Pivots by the diagonal of K itself, the ridge alone beside F F'.
  void AddTextbook() {
    const std::vector<double>& log_left = source_.form.log_left;
    const double least = *std::min_element(log_left.begin(), log_left.end());
    std::vector<double> importance;
    for (const double value : log_left) {
      importance.push_back(std::exp(2.0 * (least - value)));
    }
    RandomPivots pivots(source_, importance);
    std::vector<double> diagonal = source_.form.shift;
    for (std::size_t i = 0; i < diagonal.size(); ++i) {
      diagonal[i] = std::max(
          diagonal[i], DiagonalFloor(source_.rows, static_cast<Index>(i)));
    }
    for (const double size : {1.0, 2.0, 4.0}) {
      const Index rank = Rank(size);
      if (!pivots.Grow(rank, context_).ok()) return;
      const Index found = std::min(rank, pivots.columns());
      Add("textbook_" + std::to_string(rank),
          LowRankPreconditioner::Make({.factor = pivots.Factor(found),
                                       .diagonal = diagonal,
                                       .description = "textbook"},
                                      context_),
          FactorProducts(found));
    }
  }

  const PreconditionerSource& source_;
  const ComputeContext& context_;
  FactorWork work_;
  std::vector<Single> singles_;
};

// The single choice of the fewest products; its own -1: none got there.
Single BestOf(const Grid& grid) {
  Single best{.name = "nothing", .preconditioner = nullptr};
  for (std::size_t i = 1; i < grid.singles().size(); ++i) {
    const Single& single = grid.singles()[i];
    if (single.products < 0.0) continue;
    if (best.products < 0.0 || single.products < best.products) best = single;
  }
  return best;
}

void ReportGrid(benchmark::State& state, const Grid& grid, double probing) {
  const std::vector<Single>& singles = grid.singles();
  for (std::size_t i = 1; i < singles.size(); ++i) {
    Report(state, singles[i].name + "_products", singles[i].products);
  }
  const double best = BestOf(grid).products;
  const double chosen = singles[0].products;
  Report(state, "auto_probing_and_making", probing);
  Report(state, "auto_products", chosen);
  Report(state, "best_products", best);
  // At most 1: within 1.3 times the best single choice and 10.
  Report(state, "auto_over_limit",
         chosen < 0.0 ? 1e9
         : best < 0.0 ? 0.0
                      : chosen / (1.3 * best + 10.0));
}

void PreconditionerChoiceOnAGrid(benchmark::State& state) {
  const Case& c = kCases[state.range(0)];
  const Matrix<double> a = c.rows();
  if (a.empty()) {
    state.SkipWithError("no data: scikit-learn is missing");
    return;
  }
  const Workers workers(kWorkers);
  const ComputeContext context{workers};
  const KernelRows rows =
      *LoadKernelRows(a.view(), c.scale, c.normalization, context);
  SoftmaxRows softmax;
  if (c.normalization == kSoftmax) softmax = *FindSoftmaxRows(rows, context);
  const SymmetricForm form =
      MakeSymmetricForm(rows, c.normalization, c.ridge, &softmax);
  const KernelProduct product(rows, form.offsets, form.unit_diagonal);
  const PreconditionerSource source{rows, form, product,
                                    static_cast<std::uint64_t>(state.range(1))};
  for (auto iteration : state) {
    absl::StatusOr<PreconditionerChoice> choice =
        ChoosePreconditioner(source, {}, context);
    if (!choice.ok()) {
      state.SkipWithError("no choice");
      return;
    }
    Grid grid(source, context);
    grid.Add("auto", choice->preconditioner, choice->products);
    grid.AddAll();
    grid.Run();
    ReportGrid(state, grid, choice->products);
    std::string tried;
    for (const PreconditionerTrial& trial : choice->trials) {
      tried += std::string(tried.empty() ? "" : ", ") +
               NameOf(trial.preconditioner) + " " + std::to_string(trial.rank) +
               " (" + std::to_string(trial.iterations) + " steps)";
    }
    state.SetLabel(std::string(c.name) + "; " + choice->reason +
                   "; best single choice: " + BestOf(grid).name +
                   "; tried: " + tried);
  }
}

void AddCases(benchmark::internal::Benchmark* benchmark) {
  for (const std::int64_t seed : {3, 8}) {
    for (std::size_t i = 0; i < std::size(kCases); ++i) {
      benchmark->Args({static_cast<std::int64_t>(i), seed});
    }
  }
}
BENCHMARK(PreconditionerChoiceOnAGrid)
    ->ArgNames({"case", "seed"})
    ->Apply(AddCases)
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

}  // namespace
}  // namespace steelyard::benchmarks
