#include "published/fixed_step_solver.h"

#include <algorithm>
#include <cmath>

#include "linalg/triangular.h"

namespace steelyard {
namespace {

// Of Solve: enough for estimates.
constexpr double kSolveReduction = 0.01;
constexpr int kSolveSteps = 200;
// |g| that has not fallen to 0.7 of what it was so many steps ago will not.
constexpr int kPatience = 6;
constexpr double kProgress = 0.7;
// Growth of |g| that only a step too long makes: the sketch was worse than its
// theory. Then steps are halved, so often at the most.
constexpr double kGrowth = 4.0;
constexpr int kHalvingsMax = 30;

std::vector<double> ColumnNorms(const Matrix<double>& block) {
  std::vector<double> norms(static_cast<std::size_t>(block.cols()), 0.0);
  for (Index i = 0; i < block.rows(); ++i) {
    for (Index c = 0; c < block.cols(); ++c) {
      norms[static_cast<std::size_t>(c)] += block(i, c) * block(i, c);
    }
  }
  for (double& norm : norms) norm = std::sqrt(norm);
  return norms;
}

// |g| of the columns, step after step.
class StepWatch {
 public:
  StepWatch(const std::vector<double>& start, const StepGoals& goals)
      : goals_(goals), start_(start), active_(start.size(), true) {
    outcome_.steps.assign(start.size(), 0);
    outcome_.limited.assign(start.size(), false);
    outcome_.stalled.assign(start.size(), false);
  }

  // Takes the norms before a step; whether some column wants it.
  bool WantsStep(const std::vector<double>& norms) {
    if (best_.empty()) best_ = mark_ = norms;
    bool any = false;
    grows_ = false;
    for (std::size_t c = 0; c < norms.size(); ++c) {
      if (!active_[c]) continue;
      Judge(c, norms[c]);
      any = any || active_[c];
    }
    return any;
  }

  bool active(std::size_t c) const { return active_[c]; }
  // Some |g| grew: halve the step.
  bool grows() const { return grows_; }
  void CountStep() {
    for (std::size_t c = 0; c < active_.size(); ++c) {
      if (active_[c]) ++outcome_.steps[c];
    }
  }
  // No step is short enough.
  void GiveUp() {
    for (std::size_t c = 0; c < active_.size(); ++c) {
      if (active_[c]) outcome_.stalled[c] = true;
    }
  }
  StepOutcome outcome() const { return outcome_; }

 private:
  void Judge(std::size_t c, double norm) {
    const int steps = outcome_.steps[c];
    if (norm <= goals_.reduction[c] * start_[c]) {
      active_[c] = false;
      return;
    }
    if (!(norm <= kGrowth * best_[c])) {
      // Measured anew with shorter steps.
      grows_ = true;
      best_[c] = mark_[c] = norm;
    }
    best_[c] = std::min(best_[c], norm);
    if (steps > 0 && steps % kPatience == 0 && !grows_) {
      if (best_[c] > kProgress * mark_[c]) {
        active_[c] = false;
        outcome_.stalled[c] = true;
        return;
      }
      mark_[c] = best_[c];
    }
    if (steps >= goals_.steps_max) {
      active_[c] = false;
      outcome_.limited[c] = true;
    }
  }

  const StepGoals& goals_;
  const std::vector<double>& start_;  // |R^-T w|
  std::vector<double> best_;
  std::vector<double> mark_;  // best some steps ago
  std::vector<bool> active_;
  StepOutcome outcome_;
  bool grows_ = false;
};

}  // namespace

FixedStepSolver::FixedStepSolver(const ScaledMatrix& a,
                                 const std::vector<double>& ridge_diagonal,
                                 const Factor& sketched, double distortion)
    : GramSolver(sketched),
      a_(a),
      ridge_diagonal_(ridge_diagonal),
      r_(sketched.r),
      distortion_(distortion),
      step_(std::pow(1.0 - distortion * distortion, 2.0) /
            (1.0 + distortion * distortion)) {}

absl::StatusOr<Matrix<double>> FixedStepSolver::Residual(
    const Matrix<double>& w, const std::optional<ColumnSlice>& b,
    const Matrix<double>& z, const ComputeContext& context) const {
  const PassInput input{.a = a_, .b = b, .z_hi = &z, .k = z.cols()};
  absl::StatusOr<PassResult> pass =
      ResidualPass(input, Precision::kDouble, context);
  if (!pass.ok()) return pass.status();
  Matrix<double> residual = std::move(pass->hi);
  for (Index i = 0; i < z.rows(); ++i) {
    const double l = ridge_diagonal_.empty()
                         ? 0.0
                         : ridge_diagonal_[static_cast<std::size_t>(i)];
    for (Index c = 0; c < z.cols(); ++c) {
      residual(i, c) += (b ? 0.0 : w(i, c)) - l * z(i, c);
    }
  }
  return residual;
}

absl::StatusOr<StepOutcome> FixedStepSolver::Run(
    const Matrix<double>& w, const std::optional<ColumnSlice>& b,
    const StepGoals& goals, Matrix<double>& z,
    const ComputeContext& context) const {
  const Block<const double> r = BlockOf(r_);
  Matrix<double> whole = w;
  absl::Status done = SolveUpper(Transposed(r), BlockOf(whole), context);
  if (!done.ok()) return done;
  const std::vector<double> start = ColumnNorms(whole);
  StepWatch watch(start, goals);
  double step = step_;
  for (int halvings = 0;;) {
    absl::StatusOr<Matrix<double>> g = Residual(w, b, z, context);
    if (!g.ok()) return g.status();
    done = SolveUpper(Transposed(r), BlockOf(*g), context);
    if (!done.ok()) return done;
    if (!watch.WantsStep(ColumnNorms(*g))) break;
    if (watch.grows()) {
      if (++halvings > kHalvingsMax) {
        watch.GiveUp();
        break;
      }
      step /= 2.0;
    }
    done = SolveUpper(r, BlockOf(*g), context);
    if (!done.ok()) return done;
    for (Index i = 0; i < z.rows(); ++i) {
      for (Index c = 0; c < z.cols(); ++c) {
        if (watch.active(static_cast<std::size_t>(c))) {
          z(i, c) += step * (*g)(i, c);
        }
      }
    }
    watch.CountStep();
  }
  return watch.outcome();
}

absl::Status FixedStepSolver::Solve(Matrix<double>& block,
                                    const ComputeContext& context) const {
  const Matrix<double> w = block;
  block = Matrix<double>(w.rows(), w.cols());
  const StepGoals goals{
      .reduction = std::vector<double>(static_cast<std::size_t>(w.cols()),
                                       kSolveReduction),
      .steps_max = kSolveSteps};
  return Run(w, std::nullopt, goals, block, context).status();
}

absl::Status FixedStepSolver::MultiplyRoot(
    Matrix<double>& block, const ComputeContext& context) const {
  const PassInput input{.a = a_, .z_hi = &block, .k = block.cols()};
  const absl::StatusOr<PassResult> pass =
      ResidualPass(input, Precision::kDouble, context);
  if (!pass.ok()) return pass.status();
  Matrix<double> lengths(block.rows(), block.cols());
  for (Index c = 0; c < block.cols(); ++c) {
    double square = pass->squares[static_cast<std::size_t>(c)];
    for (std::size_t i = 0; i < ridge_diagonal_.size(); ++i) {
      const double x = block(static_cast<Index>(i), c);
      square += ridge_diagonal_[i] * x * x;
    }
    lengths(0, c) = std::sqrt(square);
  }
  block = std::move(lengths);
  return absl::OkStatus();
}

absl::Status FixedStepSolver::MultiplyGram(
    Matrix<double>& block, const ComputeContext& context) const {
  const Matrix<double> zero(block.rows(), block.cols());
  absl::StatusOr<Matrix<double>> product =
      Residual(zero, std::nullopt, block, context);
  if (!product.ok()) return product.status();
  for (Index e = 0; e < block.size(); ++e) {
    block.data()[e] = -product->data()[e];
  }
  return absl::OkStatus();
}

}  // namespace steelyard
