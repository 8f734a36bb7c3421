// The algorithm of [SYZ24] as written: steps against the condition number and
// the tolerance. And what it stands on: the four sketches, time and distortion.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "factor/factor.h"
#include "linalg/svd.h"
#include "linalg/tall_skinny_qr.h"
#include "linalg/triangular.h"
#include "steelyard/power_regression.h"
#include "steelyard/random.h"
#include "steelyard/sketch.h"
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

// Steps of the only level until the end by the paper, as `method` tells them;
// report.iterations may have more, for the residual of the family.
double StepsByPaper(const Solution& solution) {
  const std::string& method = solution.report.method;
  const std::string mark = "by level: ";
  const std::size_t at = method.find(mark);
  return at == std::string::npos
             ? 0.0
             : std::strtod(method.c_str() + at + mark.size(), nullptr);
}

struct StepsOf {
  double paper = 0.0;
  double all = 0.0;
};

StepsOf PublishedSteps(const Matrix<double>& a, PowerFamily family,
                       int exponent, double tolerance,
                       PowerMethod method = PowerMethod::kSketchPublished) {
  const Workers workers(kWorkers);
  const bool odd = family == PowerFamily::kLeftGramPower;
  const RandomStream random{Seed{8}, 0};
  Matrix<double> b(odd ? a.rows() : a.cols(), 1);
  for (Index i = 0; i < b.rows(); ++i) {
    b(i, 0) = random.Normal(static_cast<std::uint64_t>(i));
  }
  PowerRegressionOptions options;
  options.family = family;
  options.exponent = exponent;
  options.tolerance = tolerance;
  options.method = method;
  const auto solution =
      SolvePowerRegression(AnyMatrixView(a.view()), AnyMatrixView(b.view()),
                           options, ComputeContext{workers});
  if (!solution.ok()) return {};
  return {StepsByPaper(*solution),
          static_cast<double>(solution->report.iterations)};
}

// kappa from 1e2 to 1e10 at one tolerance: the claim is one number of steps.
void PublishedStepsOverCondition(benchmark::State& state) {
  const Index n = state.range(0);
  const Index d = state.range(1);
  for (auto iteration : state) {
    double least[2] = {1e300, 1e300};
    double most[2] = {0.0, 0.0};
    for (int digits = 2; digits <= 10; digits += 2) {
      const Matrix<double> a = TallMatrix(n, d, std::pow(10.0, digits));
      const std::string name = "_k1e" + std::to_string(digits);
      const StepsOf odd =
          PublishedSteps(a, PowerFamily::kLeftGramPower, 0, 1e-4);
      const StepsOf even = PublishedSteps(a, PowerFamily::kGramPower, 1, 1e-4);
      Report(state, "least_squares" + name, odd.paper);
      Report(state, "even_1" + name, even.paper);
      Report(state, "even_1_with_residual" + name, even.all);
      Report(state, "method_sketch" + name,
             PublishedSteps(a, PowerFamily::kLeftGramPower, 0, 1e-4,
                            PowerMethod::kSketch)
                 .all);
      const double steps[2] = {odd.paper, even.paper};
      for (int which = 0; which < 2; ++which) {
        least[which] = std::min(least[which], steps[which]);
        most[which] = std::max(most[which], steps[which]);
      }
    }
    Report(state, "spread_least_squares", most[0] / least[0]);
    Report(state, "spread_even_1", most[1] / least[1]);
  }
}
BENCHMARK(PublishedStepsOverCondition)
    ->ArgNames({"n", "d"})
    ->Args({100000, 64})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

// The claim is a line in the logarithm of the tolerance.
void PublishedStepsOverTolerance(benchmark::State& state) {
  const Matrix<double> a = TallMatrix(state.range(0), state.range(1), 1e3);
  for (auto iteration : state) {
    for (int digits = 2; digits <= 12; digits += 2) {
      Report(state, "steps_1e-" + std::to_string(digits),
             PublishedSteps(a, PowerFamily::kLeftGramPower, 0,
                            std::pow(10.0, -digits))
                 .paper);
    }
  }
}
BENCHMARK(PublishedStepsOverTolerance)
    ->ArgNames({"n", "d"})
    ->Args({100000, 64})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

// Every number of a read once, by all workers: the least that a sketch takes.
void ReadAll(const Matrix<double>& a, const Workers& workers) {
  constexpr Index kTasks = 64;
  std::vector<double> sums(kTasks);
  workers.ParallelFor(kTasks, {}, [&](Index task) {
    const Index first = a.size() / kTasks * task;
    const double* const from = a.data() + first;
    double sum[16] = {};
    for (Index e = 0; e + 16 <= a.size() / kTasks; e += 16) {
      for (Index lane = 0; lane < 16; ++lane) sum[lane] += from[e + lane];
    }
    for (const double lane : sum) sums[static_cast<std::size_t>(task)] += lane;
  });
  benchmark::DoNotOptimize(sums.data());
}

// max |sigma - 1| over the singular values of S Q, Q an orthonormal basis of
// the columns of a.
double Distortion(Matrix<double> sketch, const Matrix<double>& a,
                  const ComputeContext& context) {
  const auto scales = ScanColumns(a.view(), "a", context);
  const auto factor =
      FactorMatrix(a.view(), *scales, {.method = FactorMethod::kQr}, context);
  for (Index i = 0; i < sketch.rows(); ++i) {
    for (Index c = 0; c < sketch.cols(); ++c) {
      sketch(i, c) = std::ldexp(
          sketch(i, c), -factor->scales.exponents[static_cast<std::size_t>(c)]);
    }
  }
  if (!SolveUpperFromRight(BlockOf(sketch), BlockOf(factor->r), {}).ok()) {
    return 0.0;
  }
  const RowSource rows{
      sketch.rows(), sketch.cols(), [&](Index first, Block<double> out) {
        for (Index i = 0; i < out.rows; ++i) {
          std::copy_n(sketch.row(first + i), out.cols, out.row(i));
        }
      }};
  const auto values = SingularValues(*TallSkinnyQr(rows, {}, context));
  return std::max(values->front() - 1.0, 1.0 - values->back());
}

// Seconds of clarkson_woodruff.py; 0 where there is no SciPy. STEELYARD_PYTHON
// names the interpreter.
double ScipySeconds(Index n, Index d, Index s) {
  const char* python = std::getenv("STEELYARD_PYTHON");
  const std::string command =
      std::string(python == nullptr ? "python3" : python) +
      " " STEELYARD_SOURCE_DIR "/tests/benchmarks/clarkson_woodruff.py " +
      std::to_string(n) + " " + std::to_string(d) + " " + std::to_string(s) +
      " 2>/dev/null";
  double seconds = 0.0;
  if (FILE* pipe = popen(command.c_str(), "r")) {
    if (std::fscanf(pipe, "%lf", &seconds) != 1) seconds = 0.0;
    pclose(pipe);
  }
  return seconds;
}

void SketchOf(benchmark::State& state) {
  const auto kind = static_cast<SketchKind>(state.range(2));
  const Index n = state.range(0);
  const Index d = state.range(1);
  const Matrix<double> a = TallMatrix(n, d, 1e3);
  const Workers workers(kWorkers);
  const ComputeContext context{workers};
  const SketchPlan plan{kind, state.range(3) * d, Seed{9}};
  state.SetLabel(NameOf(kind));
  Matrix<double> sketch;
  for (auto iteration : state) {
    const std::vector<double> seconds = MedianSeconds(
        {[&] {
           sketch = *ApplySketch(plan, AnyMatrixView(a.view()), {}, context);
         },
         [&] { ReadAll(a, workers); }},
        3);
    Report(state, "ours_s", seconds[0]);
    Report(state, "read_s", seconds[1]);
    Report(state, "ours_over_read", seconds[0] / seconds[1]);
    const double flops = 2.0 * static_cast<double>(plan.rows) *
                         static_cast<double>(n) * static_cast<double>(d);
    if (kind == SketchKind::kGaussian) {
      const double bound =
          flops / GemmFlopsPerSecond(plan.rows, 1024, d, kWorkers);
      Report(state, "ours_over_gemm_bound", seconds[0] / bound);
    }
    if (kind == SketchKind::kCountSketch) {
      const double scipy = ScipySeconds(n, d, plan.rows);
      Report(state, "scipy_s", scipy);
      Report(state, "scipy_over_ours", scipy / seconds[0]);
    }
    Report(state, "distortion", Distortion(std::move(sketch), a, context));
    Report(state, "distortion_of_theory",
           std::sqrt(static_cast<double>(d) / static_cast<double>(plan.rows)));
  }
}
BENCHMARK(SketchOf)
    ->ArgNames({"n", "d", "kind", "rows_a_column"})
    ->Args({400000, 256, static_cast<int>(SketchKind::kSparseSign), 12})
    ->Args({400000, 256, static_cast<int>(SketchKind::kCountSketch), 12})
    ->Args({400000, 256, static_cast<int>(SketchKind::kSrht), 12})
    ->Args({400000, 256, static_cast<int>(SketchKind::kGaussian), 4})
    ->Args({400000, 256, static_cast<int>(SketchKind::kSparseSign), 4})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

}  // namespace
}  // namespace steelyard::benchmarks
