#include "kernel/conjugate_gradient.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernel/ritz_values.h"

namespace steelyard {
namespace {

// Cycles with float32 tiles reduce the residual by this much each, so that the
// digits of their products are never exhausted.
constexpr double kFloat32Reduction = 1e-4;
constexpr double kFloat64Reduction = 1e-9;
// The recurrence aims below the tolerance: the recomputed residual is larger.
constexpr double kGoalOfTolerance = 0.1;
constexpr double kFloat32ErrorMax = 1e-2;
// A cycle of float32 tiles that takes longer meets eigenvalues which drown in
// their errors.
constexpr int kFloat32StepsMax = 60;
constexpr double kUnitRoundoff32 = 0x1p-24;

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

double Dot(const double* x, const double* y, Index n) {
  double sum = 0.0;
  for (Index i = 0; i < n; ++i) sum += x[i] * y[i];
  return sum;
}

bool Float32Allowed(const ScaledSystem& system) {
  double most = 0.0;
  for (Index i = 0; i < system.size(); ++i) {
    most = std::max({most, system.rows().centred_square[At(i)],
                     std::abs(system.form().offsets[At(i)])});
  }
  return 4.0 * kUnitRoundoff32 * most <= kFloat32ErrorMax;
}

Matrix<double> Pack(const Matrix<double>& from,
                    const std::vector<Index>& columns, const Workers& workers) {
  Matrix<double> packed(static_cast<Index>(columns.size()), from.cols());
  workers.ParallelFor(packed.rows(), StopToken(), [&](Index c) {
    const double* column = from.row(columns[At(c)]);
    std::copy(column, column + from.cols(), packed.row(c));
  });
  return packed;
}

class Solver {
 public:
  Solver(ScaledSystem& system, const Matrix<double>& c,
         const ConjugateGradientOptions& options, const ComputeContext& context)
      : system_(system),
        c_(c),
        options_(options),
        context_(context),
        direction_(c.rows(), c.cols()),
        recurrence_(c.rows(), c.cols()),
        best_(c.rows(), c.cols()),
        squares_(At(c.rows())),
        rhs_norms_(At(c.rows())),
        goals_(At(c.rows())),
        previous_(At(c.rows()), 1.0),
        cycle_steps_(At(c.rows())) {
    const Index k = c.rows();
    result_.z = Matrix<double>(k, c.cols());
    result_.ends.assign(At(k), IterationEnd::kIterationLimit);
    result_.iterations.assign(At(k), 0);
    result_.certificates.assign(At(k), kNoAnswerCertificate);
    certified_ = result_.certificates;
    result_.residual = c;
    result_.error = Matrix<double>(k, c.cols());
    for (Index column = 0; column < k; ++column) {
      open_.push_back(column);
      rhs_norms_[At(column)] = WeightedNorm(c.row(column));
    }
    if (Float32Allowed(system)) precision_ = TilePrecision::kFloat32;
  }

  absl::StatusOr<ConjugateGradientResult> Run() {
    // Every cycle but the last ones halves a residual: 2^-100 is out of reach.
    constexpr int kCyclesMax = 100;
    for (int cycle = 0; cycle < kCyclesMax && !open_.empty(); ++cycle) {
      StartCycle();
      absl::Status done = RunCycle();
      if (done.ok()) done = CheckOpen();
      if (absl::IsAborted(done)) {
        EndAll(IterationEnd::kStopped);
        break;
      }
      if (!done.ok()) return done;
    }
    return std::move(result_);
  }

 private:
  double WeightedNorm(const double* r) const {
    const std::vector<double>& weights = system_.residual_weights();
    double sum = 0.0;
    for (Index i = 0; i < c_.cols(); ++i) {
      const double value = weights[At(i)] * r[i];
      sum += value * value;
    }
    return std::sqrt(sum);
  }

  void StartCycle() {
    const Index n = c_.cols();
    const double reduction = precision_ == TilePrecision::kFloat32
                                 ? kFloat32Reduction
                                 : kFloat64Reduction;
    for (const Index column : open_) {
      const double* r = result_.residual.row(column);
      std::copy(r, r + n, recurrence_.row(column));
      std::copy(r, r + n, direction_.row(column));
      squares_[At(column)] = Dot(r, r, n);
      const double now = result_.certificates[At(column)].relative_residual;
      previous_[At(column)] = now;
      // Also below the tolerance a residual may be too uncertain to be
      // converged.
      goals_[At(column)] =
          std::max(kGoalOfTolerance * std::min(options_.tolerance, now),
                   reduction * now);
      std::copy(result_.z.row(column), result_.z.row(column) + n,
                best_.row(column));
    }
    tracked_ = open_.front();
    lanczos_ = {};
    std::fill(cycle_steps_.begin(), cycle_steps_.end(), 0);
  }

  // The columns of `open_` until each has reached its goal of this cycle.
  absl::Status RunCycle() {
    const Index n = c_.cols();
    std::vector<Index> running = open_;
    while (!running.empty()) {
      const Matrix<double> p = Pack(direction_, running, context_.workers);
      Matrix<double> sp(p.rows(), n);
      const absl::Status done = system_.Apply(p, precision_, sp, context_);
      if (!done.ok()) return done;
      result_.used_float32 |= precision_ == TilePrecision::kFloat32;
      std::vector<char> leaves(running.size());
      context_.workers.ParallelFor(
          static_cast<Index>(running.size()), StopToken(), [&](Index c) {
            leaves[At(c)] = Step(running[At(c)], p.row(c), sp.row(c)) ? 1 : 0;
          });
      Report(running);
      std::vector<Index> still;
      for (std::size_t c = 0; c < running.size(); ++c) {
        if (leaves[c] == 0) still.push_back(running[c]);
      }
      running = std::move(still);
    }
    const RitzValues ritz = FindRitzValues(lanczos_);
    if (ritz.largest > 0.0 && lanczos_.alpha.size() >= longest_) {
      longest_ = lanczos_.alpha.size();
      result_.ritz_least = ritz.least;
      result_.ritz_largest = ritz.largest;
    }
    return absl::OkStatus();
  }

  // One step of one column. True: it leaves the cycle.
  bool Step(Index column, const double* p, const double* sp) {
    const Index n = c_.cols();
    double* z = result_.z.row(column);
    double* r = recurrence_.row(column);
    double* direction = direction_.row(column);
    double& square = squares_[At(column)];
    const double curvature = Dot(p, sp, n);
    if (!(curvature > static_cast<double>(n) * kUnitRoundoff * Dot(p, p, n))) {
      // float32 tiles cannot tell; float64 ones can.
      if (precision_ == TilePrecision::kFloat64 && square > 0.0) {
        result_.ends[At(column)] = IterationEnd::kSingular;
      }
      return true;
    }
    // alpha = r'r / p'Sp;  z += alpha p;  r -= alpha S p
    const double alpha = square / curvature;
    for (Index i = 0; i < n; ++i) {
      z[i] += alpha * p[i];
      r[i] -= alpha * sp[i];
    }
    // beta = r'r / (old r'r);  p = r + beta p
    const double next = Dot(r, r, n);
    const double beta = next / square;
    for (Index i = 0; i < n; ++i) direction[i] = r[i] + beta * p[i];
    square = next;
    if (column == tracked_) {
      lanczos_.alpha.push_back(alpha);
      lanczos_.beta.push_back(beta);
    }
    const int count = ++result_.iterations[At(column)];
    const double reached = WeightedNorm(r) / rhs_norms_[At(column)];
    result_.certificates[At(column)].relative_residual = reached;
    if (precision_ == TilePrecision::kFloat32 &&
        ++cycle_steps_[At(column)] >= kFloat32StepsMax) {
      return true;
    }
    return reached <= goals_[At(column)] || count >= options_.max_iterations;
  }

  // Recomputes the residuals of the open columns and closes those that are
  // done.
  absl::Status CheckOpen() {
    const Index n = c_.cols();
    absl::StatusOr<CheckedResidual> checked =
        system_.Check(Pack(c_, open_, context_.workers),
                      Pack(result_.z, open_, context_.workers), context_);
    if (!checked.ok()) return checked.status();
    std::vector<Index> still;
    bool failed = false;
    for (std::size_t c = 0; c < open_.size(); ++c) {
      const Index column = open_[c];
      const auto row = static_cast<Index>(c);
      const Certificate& certificate = checked->certificates[c];
      if (certificate.relative_residual < previous_[At(column)]) {
        std::copy(checked->residual.row(row), checked->residual.row(row) + n,
                  result_.residual.row(column));
        std::copy(checked->error.row(row), checked->error.row(row) + n,
                  result_.error.row(column));
        result_.certificates[At(column)] = certificate;
        certified_[At(column)] = certificate;
      } else {
        // The cycle made it worse: back to where it began.
        std::copy(best_.row(column), best_.row(column) + n,
                  result_.z.row(column));
        result_.certificates[At(column)] = certified_[At(column)];
      }
      IterationEnd& end = result_.ends[At(column)];
      // Not halved (or not a number): more of the same is of no use.
      const bool halved =
          certificate.relative_residual <= 0.5 * previous_[At(column)];
      if (IsConverged(result_.certificates[At(column)], options_.tolerance)) {
        end = IterationEnd::kConverged;
      } else if (end == IterationEnd::kSingular ||
                 result_.iterations[At(column)] >= options_.max_iterations) {
        // Both are final.
      } else if (!halved && precision_ == TilePrecision::kFloat64) {
        end = IterationEnd::kStalled;
      } else {
        failed |= !halved || cycle_steps_[At(column)] >= kFloat32StepsMax;
        still.push_back(column);
      }
    }
    if (failed) precision_ = TilePrecision::kFloat64;
    open_ = std::move(still);
    return absl::OkStatus();
  }

  void EndAll(IterationEnd end) {
    for (const Index column : open_) result_.ends[At(column)] = end;
  }

  void Report(const std::vector<Index>& running) const {
    double worst = 0.0;
    int iteration = 0;
    for (const Index column : running) {
      worst =
          std::max(worst, result_.certificates[At(column)].relative_residual);
      iteration = std::max(iteration, result_.iterations[At(column)]);
    }
    context_.Report({.phase = "iterate",
                     .iteration = iteration,
                     .relative_residual = worst,
                     .fraction = std::nullopt});
  }

  ScaledSystem& system_;
  const Matrix<double>& c_;
  const ConjugateGradientOptions& options_;
  const ComputeContext& context_;
  ConjugateGradientResult result_;
  TilePrecision precision_ = TilePrecision::kFloat64;
  std::vector<Index> open_;
  Matrix<double> direction_;
  Matrix<double> recurrence_;
  Matrix<double> best_;  // z of the start of the cycle
  std::vector<double> squares_;
  std::vector<double> rhs_norms_;
  std::vector<double> goals_;
  std::vector<Certificate> certified_;  // of best_, or of z after a check
  std::vector<double> previous_;
  std::vector<int> cycle_steps_;  // with float32 tiles, this cycle
  Index tracked_ = 0;
  LanczosCoefficients lanczos_;
  std::size_t longest_ = 0;
};

}  // namespace

absl::StatusOr<ConjugateGradientResult> SolveConjugateGradient(
    ScaledSystem& system, const Matrix<double>& c,
    const ConjugateGradientOptions& options, const ComputeContext& context) {
  return Solver(system, c, options, context).Run();
}

}  // namespace steelyard
