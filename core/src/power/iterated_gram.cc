#include "power/iterated_gram.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "linalg/column_products.h"
#include "linalg/stopped.h"

namespace steelyard {
namespace {

// Of the residual in the norm that CG sees: two outer steps reach float64.
constexpr double kInnerGoal = 0x1p-34;
// A distortion of 0.95 falls by 2^-34 within this.
constexpr int kStepsMax = 200;
// So many steps without a smaller residual: it is rounding.
constexpr int kStallMax = 8;

Matrix<double> Widened(const Matrix<double>& from, Index cols) {
  Matrix<double> to(from.rows(), cols);
  for (Index i = 0; i < from.rows(); ++i) {
    std::copy_n(from.row(i), std::min(cols, from.cols()), to.row(i));
  }
  return to;
}

// a_c'b_c of every column, rows in order.
std::vector<double> Dots(const Matrix<double>& a, const Matrix<double>& b) {
  std::vector<double> dots(static_cast<std::size_t>(a.cols()), 0.0);
  for (Index i = 0; i < a.rows(); ++i) {
    for (Index c = 0; c < a.cols(); ++c) {
      dots[static_cast<std::size_t>(c)] += a(i, c) * b(i, c);
    }
  }
  return dots;
}

// a := a + factor b, column by column; factor 0 leaves a column as it is.
void AddColumns(const std::vector<double>& factors, const Matrix<double>& b,
                Matrix<double>& a) {
  for (Index c = 0; c < a.cols(); ++c) {
    const double factor = factors[static_cast<std::size_t>(c)];
    if (factor == 0.0) continue;
    for (Index i = 0; i < a.rows(); ++i) a(i, c) += factor * b(i, c);
  }
}

// The numbers that CG keeps for each column.
struct CgColumns {
  std::vector<double> goal;     // on |r|^2
  std::vector<double> squares;  // |r|^2
  std::vector<double> least;    // of |r|^2 so far
  std::vector<int> stalled;     // steps since then
  std::vector<bool> active;

  explicit CgColumns(const std::vector<double>& start)
      : squares(start),
        least(start),
        stalled(start.size(), 0),
        active(start.size()) {
    for (std::size_t c = 0; c < start.size(); ++c) {
      goal.push_back(start[c] * kInnerGoal * kInnerGoal);
      active[c] = start[c] > 0.0 && std::isfinite(start[c]);
    }
  }
  bool any() const {
    return std::any_of(active.begin(), active.end(), [](bool a) { return a; });
  }
  // What p is multiplied by in its next step; inactive columns: 0.
  std::vector<double> Advance(const std::vector<double>& next) {
    std::vector<double> betas(next.size(), 0.0);
    for (std::size_t c = 0; c < next.size(); ++c) {
      if (!active[c]) continue;
      betas[c] = next[c] / squares[c];
      squares[c] = next[c];
      stalled[c] = next[c] < least[c] ? 0 : stalled[c] + 1;
      least[c] = std::min(least[c], next[c]);
      active[c] = next[c] > goal[c] && stalled[c] < kStallMax;
    }
    return betas;
  }
};

// R0^-1 x or R0^-T x.
absl::Status SolveRoot(const Matrix<double>& r0, bool transposed,
                       Matrix<double>& block, const ComputeContext& context) {
  const Index cols = block.cols();
  const Index width = PaddedColumns(cols);
  if (width != cols) block = Widened(block, width);
  const Block<const double> r = BlockOf(r0);
  absl::Status done = SolveColumns(
      transposed ? Transposed(r) : Operand<double>(r), BlockOf(block), context);
  if (width != cols) block = Widened(block, cols);
  return done;
}

}  // namespace

absl::Status IteratedGramSolver::MultiplyGram(
    Matrix<double>& block, const ComputeContext& context) const {
  const PassInput input{.a = a_, .z_hi = &block, .k = block.cols()};
  const absl::StatusOr<PassResult> pass =
      ResidualPass(input, Precision::kDouble, context);
  if (!pass.ok()) return pass.status();
  for (Index i = 0; i < block.rows(); ++i) {
    const double l = ridge_.empty() ? 0.0 : ridge_[static_cast<std::size_t>(i)];
    for (Index c = 0; c < block.cols(); ++c) {
      block(i, c) = l * block(i, c) - pass->hi(i, c);
    }
  }
  return absl::OkStatus();
}

absl::Status IteratedGramSolver::MultiplyRoot(
    Matrix<double>& block, const ComputeContext& context) const {
  const PassInput input{.a = a_, .z_hi = &block, .k = block.cols()};
  absl::StatusOr<PassResult> pass =
      ResidualPass(input, Precision::kDouble, context);
  if (!pass.ok()) return pass.status();
  for (std::size_t i = 0; i < ridge_.size(); ++i) {
    for (Index c = 0; c < block.cols(); ++c) {
      const double x = block(static_cast<Index>(i), c);
      pass->squares[static_cast<std::size_t>(c)] += ridge_[i] * x * x;
    }
  }
  Matrix<double> root(block.rows(), block.cols());
  for (Index c = 0; c < block.cols(); ++c) {
    root(0, c) = std::sqrt(pass->squares[static_cast<std::size_t>(c)]);
  }
  block = std::move(root);
  return absl::OkStatus();
}

absl::Status IteratedGramSolver::Solve(Matrix<double>& block,
                                       const ComputeContext& context) const {
  // H y = c: r = c - H y, p the direction, q = H p.
  absl::Status done = SolveRoot(r0_.r, true, block, context);
  if (!done.ok()) return done;
  Matrix<double> r = std::move(block);
  Matrix<double> p = r;
  Matrix<double> y(r.rows(), r.cols());
  CgColumns columns(Dots(r, r));
  for (int step = 0; step < kStepsMax && columns.any(); ++step) {
    Matrix<double> q = p;
    done = SolveRoot(r0_.r, false, q, context);
    if (done.ok()) done = MultiplyGram(q, context);
    if (done.ok()) done = SolveRoot(r0_.r, true, q, context);
    if (!done.ok()) return done;
    std::vector<double> steps = Dots(p, q);
    std::vector<double> back(steps.size(), 0.0);
    for (std::size_t c = 0; c < steps.size(); ++c) {
      // H is positive definite, but for rounding.
      columns.active[c] = columns.active[c] && steps[c] > 0.0;
      steps[c] = columns.active[c] ? columns.squares[c] / steps[c] : 0.0;
      back[c] = -steps[c];
    }
    AddColumns(steps, p, y);
    AddColumns(back, q, r);
    const std::vector<double> betas = columns.Advance(Dots(r, r));
    for (Index i = 0; i < p.rows(); ++i) {
      for (Index c = 0; c < p.cols(); ++c) {
        const auto at = static_cast<std::size_t>(c);
        p(i, c) = columns.active[at] ? r(i, c) + betas[at] * p(i, c) : 0.0;
      }
    }
  }
  block = std::move(y);
  return SolveRoot(r0_.r, false, block, context);
}

}  // namespace steelyard
