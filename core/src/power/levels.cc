#include "power/levels.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "factor/factor.h"
#include "linalg/double_double.h"

namespace steelyard {
namespace {

constexpr double kUnitRoundoff = 0x1p-53;
// "The correction no longer halves": N1.
constexpr double kHalving = 0.5;
// The first correction may be as large as z where z = G^-1 w is mostly error
// (b along v_1); when larger, G^-1 does not contract at all.
constexpr double kFirstCorrection = 2.0;

DoubleDouble At(const ScaledBlock& block, Index i, Index c) {
  return {block.hi(i, c), block.has_low() ? block.lo(i, c) : 0.0};
}

// rho = w - G z; first odd level: A'(b - A z) - l z.
absl::StatusOr<Matrix<double>> Residual(const PowerProblem& problem, int level,
                                        const ScaledBlock& w, Precision by,
                                        Levels& levels,
                                        const ComputeContext& context) {
  const ScaledBlock& z = levels.z[static_cast<std::size_t>(level)];
  PassInput input{.a = problem.a,
                  .b = std::nullopt,
                  .z_hi = &z.hi,
                  .z_lo = z.has_low() ? &z.lo : nullptr,
                  .k = z.cols()};
  if (level == 0) input.b.emplace(problem.b);
  absl::StatusOr<PassResult> pass = ResidualPass(input, by, context);
  if (!pass.ok()) return pass.status();
  if (level == 0) levels.r_squares = pass->squares;
  Matrix<double> rho(z.rows(), z.cols());
  for (Index i = 0; i < z.rows(); ++i) {
    for (Index c = 0; c < z.cols(); ++c) {
      DoubleDouble sum{pass->hi(i, c), pass->lo(i, c)};
      if (level > 0) sum = Add(At(w, i, c), sum);
      if (!problem.ridge_diagonal.empty()) {
        const double l = problem.ridge_diagonal[static_cast<std::size_t>(i)];
        sum = Subtract(sum, Multiply(l, At(z, i, c)));
      }
      rho(i, c) = sum.hi;
    }
  }
  return rho;
}

// What the refinement of one level knows of its columns.
struct Progress {
  std::vector<double> previous;  // norm of the last correction
  std::vector<bool> active;
  int corrections = 0;

  explicit Progress(const std::vector<double>& norms)
      : previous(norms), active(norms.size()) {
    for (std::size_t c = 0; c < norms.size(); ++c) active[c] = norms[c] > 0.0;
  }
  bool Halves(std::size_t c, double norm) const {
    const double allowed = corrections == 0 ? kFirstCorrection : kHalving;
    return norm > 0.0 && norm <= allowed * previous[c];
  }
  bool any() const {
    return std::any_of(active.begin(), active.end(), [](bool a) { return a; });
  }
};

// z += delta in the columns of `apply`.
void Correct(const Matrix<double>& delta, const std::vector<bool>& apply,
             ScaledBlock& z) {
  for (Index i = 0; i < z.rows(); ++i) {
    for (Index c = 0; c < z.cols(); ++c) {
      if (!apply[static_cast<std::size_t>(c)]) continue;
      if (z.has_low()) {
        const DoubleDouble sum = Add(At(z, i, c), {delta(i, c), 0.0});
        z.hi(i, c) = sum.hi;
        z.lo(i, c) = sum.lo;
      } else {
        z.hi(i, c) += delta(i, c);
      }
    }
  }
}

// The columns that still halve when the limit is met.
void MarkLimited(const std::vector<bool>& still, Levels& levels) {
  for (std::size_t c = 0; c < still.size(); ++c) {
    if (still[c]) levels.limited[c] = true;
  }
}

void CountRefinements(const std::vector<bool>& applied, Levels& levels) {
  for (std::size_t c = 0; c < applied.size(); ++c) {
    if (applied[c]) ++levels.refinements[c];
  }
}

// z = G^-1 w, same exponents.
absl::StatusOr<ScaledBlock> Unrefined(const PowerProblem& problem,
                                      const ScaledBlock& w,
                                      const ComputeContext& context) {
  ScaledBlock z(w.rows(), w.cols());
  z.hi = w.hi;
  z.exponents = w.exponents;
  if (absl::Status done = problem.solver.Solve(z.hi, context); !done.ok()) {
    return done;
  }
  return z;
}

// z with the exponents of w.
void Align(const ScaledBlock& w, ScaledBlock& z) {
  for (Index c = 0; c < z.cols(); ++c) {
    const auto at = static_cast<std::size_t>(c);
    const auto shift = static_cast<int>(std::clamp<std::int64_t>(
        z.exponents[at] - w.exponents[at], -4000, 4000));
    if (shift == 0) continue;
    for (Index i = 0; i < z.rows(); ++i) {
      z.hi(i, c) = std::ldexp(z.hi(i, c), shift);
      if (z.has_low()) z.lo(i, c) = std::ldexp(z.lo(i, c), shift);
    }
  }
  z.exponents = w.exponents;
}

}  // namespace

void LoadColumns(const ColumnSlice& b, Matrix<double>& out) {
  Index column = 0;
  for (const ColumnSlice::Piece& piece : b.pieces) {
    RowLoader(piece.matrix->view, piece.matrix->exponents)
        .Load(0, piece.first,
              BlockOf(out).Part(0, column, out.rows(), piece.count));
    column += piece.count;
  }
}

absl::StatusOr<ScaledBlock> StartingBlock(const PowerProblem& problem,
                                          Levels& levels,
                                          const ComputeContext& context) {
  const Index d = Cols(problem.a.view);
  const Index k = problem.b.count;
  const auto size = static_cast<std::size_t>(problem.exponent) + 1;
  levels = {};
  levels.z.resize(size);
  levels.rho.resize(size);
  levels.limited.assign(static_cast<std::size_t>(k), false);
  levels.refinements.assign(static_cast<std::size_t>(k), 0);
  ScaledBlock start(d, k);
  if (problem.odd) {
    const PassInput input{.a = problem.a, .b = problem.b, .k = k};
    absl::StatusOr<PassResult> pass =
        ResidualPass(input, Precision::kDouble, context);
    if (!pass.ok()) return pass.status();
    start.hi = std::move(pass->hi);
    levels.b_squares = std::move(pass->squares);
    levels.r_squares = levels.b_squares;
  } else {
    LoadColumns(problem.b, start.hi);
    levels.b_squares = SquaresOfColumns(start.hi);
  }
  const std::vector<int> exponents = problem.b.Exponents();
  start.exponents.assign(exponents.begin(), exponents.end());
  if (!problem.odd) ScaleRows(problem.a.exponents, -1, start);
  return start;
}

ScaledBlock RightSideOfLevel(const PowerProblem& problem, int level,
                             const ScaledBlock& start, const Levels& levels) {
  if (level == FirstLevel(problem)) return start;
  ScaledBlock w = levels.z[static_cast<std::size_t>(level - 1)];
  ScaleRows(problem.a.exponents, -2, w);
  return w;
}

absl::Status SolveLevel(const PowerProblem& problem, int level,
                        const ScaledBlock& start, Levels& levels,
                        const ComputeContext& context) {
  const ScaledBlock w = RightSideOfLevel(problem, level, start, levels);
  absl::StatusOr<ScaledBlock> first = Unrefined(problem, w, context);
  if (!first.ok()) return first.status();
  ScaledBlock& z = levels.z[static_cast<std::size_t>(level)];
  z = *std::move(first);
  Progress progress(problem.solver.Lengths(z.hi));
  while (progress.any()) {
    absl::StatusOr<Matrix<double>> delta =
        Residual(problem, level, w, Precision::kDouble, levels, context);
    if (!delta.ok()) return delta.status();
    const std::vector<double> sizes = NormsOfColumns(z.hi);
    absl::Status done = problem.solver.Correct(sizes, *delta, context);
    if (!done.ok()) return done;
    const std::vector<double> norms = problem.solver.Lengths(*delta);
    std::vector<bool> apply(norms.size(), false);
    std::vector<bool> more(norms.size(), false);
    for (std::size_t c = 0; c < norms.size(); ++c) {
      apply[c] = progress.active[c] && progress.Halves(c, norms[c]);
      // The next correction would be smaller by the same factor.
      const double next = norms[c] * (norms[c] / progress.previous[c]);
      more[c] = apply[c] && next > 0.25 * problem.solver.rounding() * sizes[c];
    }
    if (progress.corrections == problem.refinements_max) {
      for (std::size_t c = 0; c < norms.size(); ++c) {
        apply[c] = apply[c] && norms[c] > kUnitRoundoff * sizes[c];
      }
      MarkLimited(apply, levels);
      break;
    }
    Correct(*delta, apply, z);
    CountRefinements(apply, levels);
    ++progress.corrections;
    progress.previous = norms;
    progress.active = more;
  }
  return absl::OkStatus();
}

absl::Status MeasureLevel(const PowerProblem& problem, int level,
                          const ScaledBlock& start, Levels& levels,
                          const ComputeContext& context) {
  const ScaledBlock w = RightSideOfLevel(problem, level, start, levels);
  Align(w, levels.z[static_cast<std::size_t>(level)]);
  absl::StatusOr<Matrix<double>> rho =
      Residual(problem, level, w, Precision::kDoubleDouble, levels, context);
  if (!rho.ok()) return rho.status();
  ScaledBlock& kept = levels.rho[static_cast<std::size_t>(level)];
  kept.hi = *std::move(rho);
  kept.lo = {};
  kept.exponents = w.exponents;
  return absl::OkStatus();
}

absl::Status PolishLevel(const PowerProblem& problem, int level,
                         const ScaledBlock& start, const PolishGoal& goal,
                         Levels& levels, const ComputeContext& context) {
  ScaledBlock& z = levels.z[static_cast<std::size_t>(level)];
  const ScaledBlock w = RightSideOfLevel(problem, level, start, levels);
  Align(w, z);
  z.lo = Matrix<double>(z.rows(), z.cols());
  Progress progress(problem.solver.Lengths(z.hi));
  for (std::size_t c = 0; c < goal.columns.size(); ++c) {
    progress.active[c] = progress.active[c] && goal.columns[c];
  }
  while (true) {
    absl::Status done = MeasureLevel(problem, level, start, levels, context);
    if (!done.ok()) return done;
    Matrix<double> delta = levels.rho[static_cast<std::size_t>(level)].hi;
    done = problem.solver.Solve(delta, context);
    if (!done.ok()) return done;
    const std::vector<double> norms = problem.solver.Lengths(delta);
    const std::vector<double> sizes = problem.solver.Lengths(z.hi);
    for (std::size_t c = 0; c < norms.size(); ++c) {
      progress.active[c] = progress.active[c] &&
                           norms[c] > goal.correction * sizes[c] &&
                           progress.Halves(c, norms[c]);
    }
    if (!progress.any()) break;
    if (progress.corrections == problem.refinements_max) {
      MarkLimited(progress.active, levels);
      break;
    }
    Correct(delta, progress.active, z);
    CountRefinements(progress.active, levels);
    ++progress.corrections;
    progress.previous = norms;
  }
  return absl::OkStatus();
}

absl::Status DropLowPart(const PowerProblem& problem, Levels& levels,
                         const ComputeContext& context) {
  ScaledBlock& z = levels.z.back();
  if (!z.has_low()) return absl::OkStatus();
  // w - G hi = (w - G (hi + lo)) + G lo.
  const Matrix<double> low = std::move(z.lo);
  z.lo = {};
  Matrix<double> lost = low;
  absl::Status done = problem.solver.MultiplyGram(lost, context);
  if (!done.ok()) return done;
  ScaledBlock& rho = levels.rho.back();
  for (Index i = 0; i < lost.rows(); ++i) {
    const double l = problem.ridge_diagonal.empty()
                         ? 0.0
                         : problem.ridge_diagonal[static_cast<std::size_t>(i)];
    for (Index c = 0; c < lost.cols(); ++c) {
      if (problem.odd && problem.exponent == 0) {
        // |r + A lo|^2 = |r|^2 + 2 lo'A'r + lo'A'A lo, A'r = rho + l z.
        const double gradient = rho.hi(i, c) + l * z.hi(i, c);
        levels.r_squares[static_cast<std::size_t>(c)] +=
            low(i, c) * (2.0 * gradient + lost(i, c) + l * low(i, c));
      }
      rho.hi(i, c) += lost(i, c);
    }
  }
  return absl::OkStatus();
}

absl::Status FinishLevel(const PowerProblem& problem, int level,
                         const ScaledBlock& start, Levels& levels,
                         const ComputeContext& context) {
  const ScaledBlock w = RightSideOfLevel(problem, level, start, levels);
  ScaledBlock& z = levels.z[static_cast<std::size_t>(level)];
  if (z.hi.empty()) {
    absl::StatusOr<ScaledBlock> made = Unrefined(problem, w, context);
    if (!made.ok()) return made.status();
    z = *std::move(made);
  }
  Align(w, z);
  ScaledBlock& rho = levels.rho[static_cast<std::size_t>(level)];
  rho.hi = z.hi;
  rho.lo = {};
  rho.exponents = w.exponents;
  absl::Status done = problem.solver.MultiplyGram(rho.hi, context);
  for (Index i = 0; i < rho.rows(); ++i) {
    for (Index c = 0; c < rho.cols(); ++c) {
      rho.hi(i, c) = w.hi(i, c) - rho.hi(i, c);
    }
  }
  if (level > 0 || !done.ok()) return done;
  // |b - A z|^2 = |b|^2 - 2 z'A'b + z'A'A z, A'A z = w - rho - l z.
  for (Index c = 0; c < rho.cols(); ++c) {
    double& square = levels.r_squares[static_cast<std::size_t>(c)];
    square = levels.b_squares[static_cast<std::size_t>(c)];
    for (Index i = 0; i < rho.rows(); ++i) {
      const double l =
          problem.ridge_diagonal.empty()
              ? 0.0
              : problem.ridge_diagonal[static_cast<std::size_t>(i)];
      square -= z.hi(i, c) * (w.hi(i, c) + rho.hi(i, c) + l * z.hi(i, c));
    }
    square = std::max(square, 0.0);
  }
  return done;
}

}  // namespace steelyard
