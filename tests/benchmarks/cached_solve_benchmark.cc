// What a prepared 400k x 256 float64 matrix saves: the first solve (preparing
// included) against the second, and 1,000 right-hand sides (exponent 0: float32
// numbers, those of float64 alone would fill the memory) against the flops that
// they take at the rate of this machine's float64 GEMM. Accuracy against
// repeated solves with a Householder R in long double.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <thread>
#include <vector>

#include "steelyard/prepared_matrix.h"
#include "steelyard/random.h"
#include "tests/benchmarks/paired.h"
#include "tests/benchmarks/peers.h"

namespace steelyard::benchmarks {
namespace {

const int kWorkers = static_cast<int>(std::thread::hardware_concurrency());
constexpr Index kCols = 256;

// Normal entries, columns falling from 1 to 1 / cond and mixed by a reflection.
Matrix<double> TallMatrix(Index n, double cond) {
  const RandomStream random{Seed{7}, 0};
  Matrix<double> a = Matrix<double>::Unset(n, kCols);
  const double mean = 1.0 / std::sqrt(static_cast<double>(kCols));
  for (Index i = 0; i < n; ++i) {
    double product = 0.0;
    for (Index c = 0; c < kCols; ++c) {
      const double fall = std::pow(
          cond, -static_cast<double>(c) / static_cast<double>(kCols - 1));
      a(i, c) = fall * random.Normal(static_cast<std::uint64_t>(i * kCols + c));
      product += a(i, c) * mean;
    }
    for (Index c = 0; c < kCols; ++c) a(i, c) -= 2.0 * product * mean;
  }
  return a;
}

Matrix<double> Normal(Index rows, Index cols) {
  const RandomStream random{Seed{9}, 0};
  Matrix<double> b = Matrix<double>::Unset(rows, cols);
  for (Index i = 0; i < b.size(); ++i) {
    b.data()[i] = random.Normal(static_cast<std::uint64_t>(i));
  }
  return b;
}

PowerRegressionOptions OptionsOf(int power) {
  return {.family = power % 2 == 0 ? PowerFamily::kGramPower
                                   : PowerFamily::kLeftGramPower,
          .exponent = power / 2};
}

// Upper R of A by Householder in long double, row by row (Givens would do; one
// reflection a block of rows): as exact as the benchmark needs.
class ExactTriangle {
 public:
  explicit ExactTriangle(const Matrix<double>& a) : r_(kCols * kCols, 0.0L) {
    constexpr Index kBlock = 256;
    for (Index row = 0; row < a.rows(); row += kBlock) {
      Absorb(a, row, std::min(kBlock, a.rows() - row));
    }
  }

  // (A'A)^-j b.
  std::vector<long double> Solve(const Matrix<double>& b, Index column,
                                 int exponent) const {
    std::vector<long double> x(kCols);
    for (Index i = 0; i < kCols; ++i) x[At(i)] = b(i, column);
    for (int level = 0; level < exponent; ++level) {
      for (Index i = 0; i < kCols; ++i) {
        for (Index p = 0; p < i; ++p) x[At(i)] -= R(p, i) * x[At(p)];
        x[At(i)] /= R(i, i);
      }
      for (Index i = kCols - 1; i >= 0; --i) {
        for (Index p = i + 1; p < kCols; ++p) x[At(i)] -= R(i, p) * x[At(p)];
        x[At(i)] /= R(i, i);
      }
    }
    return x;
  }

 private:
  static std::size_t At(Index i) { return static_cast<std::size_t>(i); }
  long double& R(Index i, Index j) { return r_[At(i * kCols + j)]; }
  long double R(Index i, Index j) const { return r_[At(i * kCols + j)]; }

  // R := the triangle of [R; rows].
  void Absorb(const Matrix<double>& a, Index first, Index rows) {
    std::vector<long double> block(At(rows * kCols));
    for (Index i = 0; i < rows; ++i) {
      for (Index c = 0; c < kCols; ++c) {
        block[At(c * rows + i)] = a(first + i, c);
      }
    }
    for (Index k = 0; k < kCols; ++k) {
      const long double* const v = &block[At(k * rows)];
      long double square = 0.0L;
      for (Index i = 0; i < rows; ++i) square += v[i] * v[i];
      if (square == 0.0L) continue;
      const long double norm =
          std::copysign(std::sqrt(R(k, k) * R(k, k) + square), -R(k, k));
      const long double head = R(k, k) - norm;
      const long double scale = -1.0L / (norm * head);
      for (Index c = k + 1; c < kCols; ++c) {
        long double* const w = &block[At(c * rows)];
        long double dot = head * R(k, c);
        for (Index i = 0; i < rows; ++i) dot += v[i] * w[i];
        dot *= scale;
        R(k, c) -= dot * head;
        for (Index i = 0; i < rows; ++i) w[i] -= dot * v[i];
      }
      R(k, k) = norm;
    }
  }

  std::vector<long double> r_;
};

// |x - y| / |y|.
double Error(const Matrix<double>& x, Index column,
             const std::vector<long double>& y) {
  long double error = 0.0L;
  long double square = 0.0L;
  for (std::size_t i = 0; i < y.size(); ++i) {
    const long double off = x(static_cast<Index>(i), column) - y[i];
    error += off * off;
    square += y[i] * y[i];
  }
  return static_cast<double>(std::sqrt(error / square));
}

void SecondSolve(benchmark::State& state) {
  const Index n = state.range(0);
  const int power = static_cast<int>(state.range(1));
  const Matrix<double> a = TallMatrix(n, static_cast<double>(state.range(2)));
  const PowerRegressionOptions options = OptionsOf(power);
  const Matrix<double> b = Normal(power % 2 == 0 ? kCols : n, 1);
  const Workers workers(kWorkers);
  const std::vector<AnyMatrixView> bs = {b.view()};
  std::vector<absl::StatusOr<Solution>> solved;
  const PreparedMatrix prepared = *PrepareMatrix(a.view(), options, {workers});
  for (auto iteration : state) {
    const std::vector<double> seconds = MedianSeconds(
        {[&] {
           const auto first = PrepareMatrix(a.view(), options, {workers});
           solved = SolveTogether(*first, a.view(), bs, options, {workers});
         },
         [&] {
           solved = SolveTogether(prepared, a.view(), bs, options, {workers});
         },
         [&] {
           benchmark::DoNotOptimize(
               SolvePowerRegression(a.view(), b.view(), options, {workers}));
         }},
        3);
    Report(state, "first_s", seconds[0]);
    Report(state, "second_s", seconds[1]);
    Report(state, "first_over_second", seconds[0] / seconds[1]);
    Report(state, "unprepared_s", seconds[2]);
  }
  const SolveReport& report = solved[0]->report;
  Report(state, "reported_error", report.forward_error[0]);
  if (power % 2 == 0) {
    const ExactTriangle exact(a);
    const std::vector<long double> x = exact.Solve(b, 0, options.exponent);
    const std::vector<double> column(b.data(), b.data() + kCols);
    const std::vector<double> peer =
        QrPowerSolution(a, column, options.exponent);
    Matrix<double> peer_x(kCols, 1);
    std::copy(peer.begin(), peer.end(), peer_x.data());
    const double error = Error(solved[0]->x, 0, x);
    Report(state, "true_error", error);
    Report(state, "reported_over_true", report.forward_error[0] / error);
    Report(state, "error_over_qr", error / Error(peer_x, 0, x));
  }
}
BENCHMARK(SecondSolve)
    ->ArgNames({"n", "power", "cond"})
    ->ArgsProduct({{400000}, {1, 2, 3, 4, 5, 6, 7}, {10000}})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

// Right-hand sides of exponent 0: half normal, half A x and noise of a
// hundredth of its size, as data have.
Matrix<float> DataSides(const Matrix<double>& a, Index k) {
  const RandomStream random{Seed{9}, 1};
  Matrix<float> b = Matrix<float>::Unset(a.rows(), k);
  std::vector<double> means(static_cast<std::size_t>(a.rows()));
  for (Index i = 0; i < a.rows(); ++i) {
    for (Index c = 0; c < kCols; ++c)
      means[static_cast<std::size_t>(i)] += a(i, c);
  }
  for (Index i = 0; i < a.rows(); ++i) {
    for (Index c = 0; c < k; ++c) {
      const double noise = random.Normal(static_cast<std::uint64_t>(i * k + c));
      b(i, c) = static_cast<float>(
          c % 2 == 0 ? noise
                     : means[static_cast<std::size_t>(i)] + 0.01 * noise);
    }
  }
  return b;
}

// Columns 0 and 1 alone, the largest ratio of the two.
void ReportErrors(benchmark::State& state, const Solution& solution,
                  const std::vector<std::vector<long double>>& exact) {
  double worst = 0.0;
  double over = 0.0;
  for (std::size_t c = 0; c < exact.size(); ++c) {
    const double error = Error(solution.x, static_cast<Index>(c), exact[c]);
    const double told = solution.report.forward_error[c];
    worst = std::max(worst, error);
    over = std::max(over, std::max(told / error, error / told));
  }
  Report(state, "true_error", worst);
  Report(state, "told_and_true_within", over);
}

// Against 4 d^2 j k and 6 n d k flops at the rate of GEMMs of such extents.
void ThousandRightSides(benchmark::State& state) {
  const Index n = state.range(0);
  const int power = static_cast<int>(state.range(1));
  const Index k = state.range(2);
  const Matrix<double> a = TallMatrix(n, 1e4);
  const PowerRegressionOptions options = OptionsOf(power);
  const bool even = power % 2 == 0;
  const Matrix<double> b = even ? Normal(kCols, k) : Matrix<double>();
  const Matrix<float> data = even ? Matrix<float>() : DataSides(a, k);
  const Workers workers(kWorkers);
  const std::vector<AnyMatrixView> bs = {even ? AnyMatrixView(b.view())
                                              : AnyMatrixView(data.view())};
  const PreparedMatrix prepared = *PrepareMatrix(a.view(), options, {workers});
  const double d = static_cast<double>(kCols);
  const double flops =
      static_cast<double>(k) * d *
      (even ? 4.0 * d * options.exponent : 6.0 * static_cast<double>(n));
  std::vector<absl::StatusOr<Solution>> solved;
  for (auto iteration : state) {
    const double before = GemmFlopsPerSecond(1024, kCols, kCols, kWorkers);
    const std::vector<double> seconds = MedianSeconds(
        {[&] {
          solved = SolveTogether(prepared, a.view(), bs, options, {workers});
        }},
        even ? 21 : 3);
    const double after = GemmFlopsPerSecond(1024, kCols, kCols, kWorkers);
    const double bound = flops / (0.5 * (before + after));
    Report(state, "ours_s", seconds[0]);
    Report(state, "bound_s", bound);
    Report(state, "ours_over_bound", seconds[0] / bound);
  }
  if (even) {
    const ExactTriangle exact(a);
    ReportErrors(state, *solved[0],
                 {exact.Solve(b, 0, options.exponent),
                  exact.Solve(b, 1, options.exponent)});
  }
}
BENCHMARK(ThousandRightSides)
    ->ArgNames({"n", "power", "k"})
    ->Args({400000, 2, 1000})
    ->Args({400000, 4, 1000})
    ->Args({400000, 6, 1000})
    ->Args({400000, 1, 1000})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

}  // namespace
}  // namespace steelyard::benchmarks
