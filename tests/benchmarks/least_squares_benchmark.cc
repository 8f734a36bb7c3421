// Least squares of kappa 1e2 to 1e12 against LAPACK's dgels on as many threads
// as we have workers, in turn; then powers of kappa 1e4 against our own least
// squares, and their error against repeated solves with a Householder R. Truth
// by double-double (least_squares_oracle.h).
#include <cblas.h>
#include <lapacke.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "steelyard/power_regression.h"
#include "steelyard/random.h"
#include "tests/benchmarks/least_squares_oracle.h"
#include "tests/benchmarks/paired.h"
#include "tests/benchmarks/peers.h"

namespace steelyard::benchmarks {
namespace {

const int kWorkers = static_cast<int>(std::thread::hardware_concurrency());
constexpr int kRounds = 3;

struct TallProblem {
  Index n = 0;
  Index d = 0;
  int log_cond = -1;
  Matrix<double> a;
  std::vector<double> generic_b;  // n normal numbers
  HouseholderFactor lapack;       // of a and generic_b
};

std::vector<double> Normal(Index count, std::uint64_t seed) {
  const RandomStream random{Seed{seed}, 0};
  std::vector<double> x(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = random.Normal(i);
  return x;
}

// The last one made: benchmarks that follow each other share it.
const TallProblem& ProblemOf(Index n, Index d, int log_cond) {
  static auto* const problem = new TallProblem;
  if (problem->n == n && problem->d == d && problem->log_cond == log_cond) {
    return *problem;
  }
  *problem = TallProblem{};  // Frees the one before.
  problem->a = TallMatrix(n, d, std::pow(10.0, log_cond));
  problem->generic_b = Normal(n, 41);
  problem->lapack = Factor(problem->a, problem->generic_b, kWorkers);
  problem->n = n;
  problem->d = d;
  problem->log_cond = log_cond;
  return *problem;
}

// A x and a residual of `noise` times its norm, orthogonal to the columns of A
// up to rounding.
std::vector<double> RightSide(const TallProblem& problem, double noise) {
  const Matrix<double>& a = problem.a;
  const std::vector<double> x = Normal(a.cols(), 42);
  const Truth fit =
      SolveExactly(a, problem.lapack.r, problem.generic_b, 0, kWorkers);
  std::vector<double> b =
      ResidualOf(a, problem.generic_b, fit.x, kWorkers).rows;
  std::vector<double> image(b.size());
  const auto d = static_cast<int>(a.cols());
  const auto n = static_cast<int>(a.rows());
  cblas_dgemv(CblasRowMajor, CblasNoTrans, n, d, 1.0, a.data(), d, x.data(), 1,
              0.0, image.data(), 1);
  const double scale =
      noise * cblas_dnrm2(n, image.data(), 1) / cblas_dnrm2(n, b.data(), 1);
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = image[i] + scale * b[i];
  return b;
}

double SecondsOf(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  const std::chrono::duration<double> took =
      std::chrono::steady_clock::now() - start;
  return took.count();
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

Solution Solve(const Matrix<double>& a, const std::vector<double>& b,
               PowerFamily family, int exponent, const Workers& workers) {
  PowerRegressionOptions options;
  options.family = family;
  options.exponent = exponent;
  const MatrixView<double> right(b.data(), static_cast<Index>(b.size()), 1);
  return *SolvePowerRegression(a.view(), right, options,
                               ComputeContext{workers});
}

struct Pair {
  Solution ours;
  std::vector<double> dgels;
};

// Times both in turn. The peer's column-major copy, which it overwrites, is
// made before its clock starts.
Pair TimeInTurn(benchmark::State& state, const Matrix<double>& a,
                const std::vector<double>& b) {
  const Workers workers(kWorkers);
  Pair pair;
  std::vector<double> ours_s;
  std::vector<double> dgels_s;
  std::vector<double> ratios;
  for (int round = -1; round < kRounds; ++round) {
    const double ours = SecondsOf([&] {
      pair.ours = Solve(a, b, PowerFamily::kLeftGramPower, 0, workers);
    });
    std::vector<double> columns = ColumnMajor(a);
    pair.dgels = b;
    const BlasThreads blas(kWorkers);
    const double dgels = SecondsOf([&] {
      const auto n = static_cast<lapack_int>(a.rows());
      LAPACKE_dgels(LAPACK_COL_MAJOR, 'N', n, static_cast<lapack_int>(a.cols()),
                    1, columns.data(), n, pair.dgels.data(), n);
    });
    if (round < 0) continue;  // warm-up
    ours_s.push_back(ours);
    dgels_s.push_back(dgels);
    ratios.push_back(dgels / ours);
  }
  pair.dgels.resize(static_cast<std::size_t>(a.cols()));
  Report(state, "ours_s", Median(ours_s));
  Report(state, "dgels_s", Median(dgels_s));
  Report(state, "dgels_over_ours", Median(dgels_s) / Median(ours_s));
  Report(state, "dgels_over_ours_least",
         *std::min_element(ratios.begin(), ratios.end()));
  return pair;
}

// Two figures and their ratio.
void ReportBoth(benchmark::State& state, const std::string& what, double ours,
                double dgels) {
  Report(state, what + "_ours", ours);
  Report(state, what + "_dgels", dgels);
  Report(state, what + "_ours_over_dgels", ours / dgels);
}

void DenseLeastSquares(benchmark::State& state) {
  const auto log_cond = static_cast<int>(state.range(2));
  const TallProblem& problem =
      ProblemOf(state.range(0), state.range(1), log_cond);
  const Matrix<double>& a = problem.a;
  const std::vector<double> b =
      RightSide(problem, std::pow(10.0, -static_cast<double>(state.range(3))));
  Pair pair;
  for (auto iteration : state) pair = TimeInTurn(state, a, b);
  state.SetLabel(pair.ours.report.method);

  const double* const x = pair.ours.x.data();
  const std::vector<double> ours(x, x + a.cols());
  const std::vector<double> none(ours.size());
  const ExactResidual our_residual = ResidualOf(a, b, {ours, none}, kWorkers);
  const ExactResidual residual = ResidualOf(a, b, {pair.dgels, none}, kWorkers);
  Report(state, "residual_ours_over_dgels_less_1",
         static_cast<double>(our_residual.norm / residual.norm - 1.0L));
  const RightSpectrum spectrum = SpectrumOf(problem.lapack.r);
  Report(state, "condition", spectrum.values.front() / spectrum.values.back());
  ReportBoth(state, "backward", BackwardError(spectrum, our_residual, ours),
             BackwardError(spectrum, residual, pair.dgels));
  const Truth truth = SolveExactly(a, problem.lapack.r, b, 0, kWorkers);
  ReportBoth(state, "forward", ErrorOf(x, truth.x),
             ErrorOf(pair.dgels.data(), truth.x));
  Report(state, "forward_reported", pair.ours.report.forward_error[0]);
  Report(state, "truth_last_correction", truth.last_correction);
}
// Errors of x grow as kappa^2 times the residual: at kappa 1e12 a residual of a
// tenth leaves no digit to anyone, one of 1e-10 leaves some.
BENCHMARK(DenseLeastSquares)
    ->ArgNames({"n", "d", "log_cond", "log_noise"})
    ->Args({400000, 256, 2, 1})
    ->Args({400000, 256, 6, 1})
    ->Args({400000, 256, 6, 10})
    ->Args({400000, 256, 12, 1})
    ->Args({400000, 256, 12, 10})
    ->Args({131072, 1024, 2, 1})
    ->Args({131072, 1024, 6, 1})
    ->Args({131072, 1024, 6, 10})
    ->Args({131072, 1024, 12, 1})
    ->Args({131072, 1024, 12, 10})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

// power 2 j: (A'A)^j x = b. power 2 j + 1: min |A (A'A)^j x - b|.
void DensePower(benchmark::State& state) {
  const auto log_cond = static_cast<int>(state.range(2));
  const TallProblem& problem =
      ProblemOf(state.range(0), state.range(1), log_cond);
  const Matrix<double>& a = problem.a;
  const int exponent = static_cast<int>(state.range(3)) / 2;
  const bool odd = state.range(3) % 2 != 0;
  const std::vector<double> b = odd ? problem.generic_b : Normal(a.cols(), 44);
  const Workers workers(kWorkers);
  Solution ours;
  for (auto iteration : state) {
    const std::vector<double> seconds = MedianSeconds(
        {[&] {
           ours = Solve(
               a, b,
               odd ? PowerFamily::kLeftGramPower : PowerFamily::kGramPower,
               exponent, workers);
         },
         [&] {
           benchmark::DoNotOptimize(Solve(
               a, problem.generic_b, PowerFamily::kLeftGramPower, 0, workers));
         }},
        kRounds);
    Report(state, "ours_s", seconds[0]);
    Report(state, "least_squares_s", seconds[1]);
    Report(state, "ours_over_least_squares", seconds[0] / seconds[1]);
  }
  state.SetLabel(ours.report.method);
  const Truth truth = SolveExactly(a, problem.lapack.r, b, exponent, kWorkers);
  const double error = ErrorOf(ours.x.data(), truth.x);
  const double peer =
      ErrorOf(RepeatedSolves(problem.lapack, b, exponent, odd).data(), truth.x);
  Report(state, "forward_ours", error);
  Report(state, "forward_householder", peer);
  Report(state, "forward_ours_over_householder", error / peer);
  Report(state, "forward_reported", ours.report.forward_error[0]);
  Report(state, "reported_over_true", ours.report.forward_error[0] / error);
  Report(state, "truth_last_correction", truth.last_correction);
}
BENCHMARK(DensePower)
    ->ArgNames({"n", "d", "log_cond", "power"})
    ->ArgsProduct({{400000}, {256}, {4}, {2, 3, 4, 5, 6, 7}})
    ->ArgsProduct({{131072}, {1024}, {4}, {2, 3, 4, 5, 6, 7}})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

// Seconds to run: that the comparisons themselves work.
BENCHMARK(DenseLeastSquares)
    ->Name("SmallLeastSquares")
    ->ArgNames({"n", "d", "log_cond", "log_noise"})
    ->ArgsProduct({{8000}, {64}, {2, 6, 12}, {1, 10}})
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);
BENCHMARK(DensePower)
    ->Name("SmallPower")
    ->ArgNames({"n", "d", "log_cond", "power"})
    ->ArgsProduct({{8000}, {64}, {4}, {2, 3, 4, 5, 6, 7}})
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace steelyard::benchmarks
