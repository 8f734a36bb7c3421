#include "preconditioner/polynomial_sketch.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "linalg/stopped.h"
#include "parallel/scratch_pool.h"
#include "steelyard/status.h"

namespace steelyard {
namespace {

constexpr double kTruncation = 1e-3;
// Rows of a panel: some are left in the first cache, level by level.
constexpr Index kPanel = 128;
constexpr std::uint64_t kSketchSeed = 0x706f6c79;

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

// A monomial of level l from one of level l - 1, times x_c / sqrt(power).
struct MonomialStep {
  Index parent = 0;
  Index coordinate = 0;
  double factor = 1.0;  // 1 / sqrt(power of x_c)
};

// Columns 1 .. of the monomials up to some level; column 0 is the constant.
std::vector<MonomialStep> MonomialSteps(Index d, int levels) {
  struct Last {
    Index coordinate = 0;
    int power = 0;
  };
  std::vector<Last> last{{0, 0}};
  std::vector<MonomialStep> steps;
  Index begin = 0;
  for (int level = 1; level < levels; ++level) {
    const auto end = static_cast<Index>(last.size());
    for (Index parent = begin; parent < end; ++parent) {
      const Last from = last[At(parent)];
      for (Index c = from.coordinate; c < d; ++c) {
        const int power = c == from.coordinate ? from.power + 1 : 1;
        steps.push_back(
            {parent, c, 1.0 / std::sqrt(static_cast<double>(power))});
        last.push_back({c, power});
      }
    }
    begin = end;
  }
  return steps;
}

// Mean over rows of e^{-q} q^l / l!, l = 0 .. degree.
std::vector<double> EnergiesOf(const KernelRows& rows, int degree) {
  std::vector<double> energies(At(degree + 1));
  for (const double q : rows.centred_square) {
    double term = std::exp(-q);
    for (int l = 0; l <= degree; ++l) {
      energies[At(l)] += term;
      term *= q / (l + 1);
    }
  }
  for (double& energy : energies) energy /= static_cast<double>(rows.rows());
  return energies;
}

// Features of some rows side by side, level by level from their parents.
class PanelFeatures {
 public:
  PanelFeatures(const TaylorPlan& plan, const PreconditionerSource& source)
      : plan_(plan),
        source_(source),
        steps_(MonomialSteps(source.rows.cols(), plan.exact_levels)),
        coefficients_(At(plan.degree + 1)) {
    for (const MonomialStep& step : steps_) {
      parents_ = std::max(parents_, step.parent + 1);
    }
    if (plan.sketch_columns > 0) sketch_ = DrawPowerSketch(plan.sketch);
    for (int l = plan.exact_levels; l <= plan.degree; ++l) {
      coefficients_[At(l)] = std::exp(-0.5 * std::lgamma(l + 1.0));
    }
  }

  // Of one call of Fill.
  Index ScratchSize() const {
    return kPanel * (source_.rows.cols() + parents_ + 2) + plan_.sketch_columns;
  }

  // Columns [first, first + out.cols) of F', at most kPanel; squares: theirs.
  template <typename T>
  void Fill(Index first, Block<T> out, double* squares, double* scratch) const {
    double* const x = scratch;  // d x kPanel
    double* const weight = x + kPanel * source_.rows.cols();
    double* const now = weight + kPanel;
    double* const parents = now + kPanel;
    Load(first, out.cols, x, weight);
    std::fill(squares, squares + out.cols, 0.0);
    Index column = 0;
    if (plan_.exact_levels > 0) {
      std::copy(weight, weight + out.cols, now);
      Keep(now, column++, parents, out, squares);
    }
    for (const MonomialStep& step : steps_) {
      const double* const parent = parents + step.parent * kPanel;
      const double* const factor = x + step.coordinate * kPanel;
      for (Index i = 0; i < out.cols; ++i) {
        now[i] = step.factor * parent[i] * factor[i];
      }
      Keep(now, column++, parents, out, squares);
    }
    if (sketch_ != nullptr) {
      Sketch(x, weight, out, squares, parents + kPanel * parents_);
    }
  }

 private:
  // sqrt(s) (a - c), transposed, and w e^{offset}.
  void Load(Index first, Index count, double* x, double* weight) const {
    const KernelRows& rows = source_.rows;
    const double root = std::sqrt(rows.scale);
    for (Index i = 0; i < count; ++i) {
      const double* const from = rows.centred.row(first + i);
      for (Index c = 0; c < rows.cols(); ++c)
        x[c * kPanel + i] = root * from[c];
      weight[i] = source_.form.weight[At(first + i)] *
                  std::exp(source_.form.offsets[At(first + i)]);
    }
  }

  template <typename T>
  void Keep(const double* now, Index column, double* parents, Block<T> out,
            double* squares) const {
    if (column < parents_) {
      std::copy(now, now + out.cols, parents + column * kPanel);
    }
    T* const to = out.row(column);
    for (Index i = 0; i < out.cols; ++i) {
      to[i] = static_cast<T>(now[i]);
      const auto kept = static_cast<double>(to[i]);
      squares[i] += kept * kept;
    }
  }

  template <typename T>
  void Sketch(const double* x, const double* weight, Block<T> out,
              double* squares, double* features) const {
    std::vector<double> row(At(source_.rows.cols()));
    std::vector<double> scratch;
    for (Index i = 0; i < out.cols; ++i) {
      for (std::size_t c = 0; c < row.size(); ++c) {
        row[c] = x[static_cast<Index>(c) * kPanel + i];
      }
      std::fill(features, features + plan_.sketch_columns, 0.0);
      sketch_->Add(row.data(), coefficients_, features, scratch);
      for (Index j = 0; j < plan_.sketch_columns; ++j) {
        T& to = out(plan_.exact_columns + j, i);
        to = static_cast<T>(weight[i] * features[j]);
        const auto kept = static_cast<double>(to);
        squares[i] += kept * kept;
      }
    }
  }

  const TaylorPlan& plan_;
  const PreconditionerSource& source_;
  std::vector<MonomialStep> steps_;
  Index parents_ = 0;  // monomials that others are made from: the first ones
  std::vector<double> coefficients_;
  std::unique_ptr<PowerSketch> sketch_;
};

template <typename T>
absl::StatusOr<TaylorFactor> FeaturesOf(const TaylorPlan& plan,
                                        const PreconditionerSource& source,
                                        const ComputeContext& context) {
  const Index n = source.rows.rows();
  const PanelFeatures panel_features(plan, source);
  auto features =
      std::make_shared<Matrix<T>>(Matrix<T>::Unset(plan.columns(), n));
  TaylorFactor factor{.features = features, .squares = {}};
  factor.squares.resize(At(n));
  ScratchPool scratch(panel_features.ScratchSize());
  context.workers.ParallelFor(
      (n + kPanel - 1) / kPanel, context.stop, [&](Index panel) {
        const Index first = panel * kPanel;
        const Index count = std::min(kPanel, n - first);
        ScratchPool::Lease lease = scratch.Borrow();
        panel_features.Fill(
            first, BlockOf(*features).Part(0, first, plan.columns(), count),
            factor.squares.data() + first, lease.data());
      });
  if (absl::Status stop = CheckStop(context.stop); !stop.ok()) return stop;
  return factor;
}

}  // namespace

double LargestSquare(const KernelRows& rows) {
  return *std::max_element(rows.centred_square.begin(),
                           rows.centred_square.end());
}

TaylorPlan PlanTaylorFeatures(const KernelRows& rows, Index columns,
                              std::uint64_t seed) {
  const double square = LargestSquare(rows);
  const Index d = rows.cols();
  TaylorPlan plan;
  plan.degree = std::max(
      1, static_cast<int>(std::ceil(
             square + std::sqrt(2.0 * square * std::log(1.0 / kTruncation)))));
  // C(d + l - 1, l) monomials of level l.
  double level_columns = 1.0;
  while (plan.exact_levels <= plan.degree &&
         static_cast<double>(plan.exact_columns) + level_columns <=
             static_cast<double>(columns)) {
    plan.exact_columns += static_cast<Index>(level_columns);
    ++plan.exact_levels;
    level_columns = std::round(level_columns *
                               static_cast<double>(d + plan.exact_levels - 1) /
                               plan.exact_levels);
  }
  const auto n = static_cast<double>(rows.rows());
  plan.flops = 3.0 * n * static_cast<double>(plan.exact_columns);
  if (plan.exact_levels > plan.degree) return plan;
  plan.sketch_columns = columns - plan.exact_columns;
  if (plan.sketch_columns == 0) return plan;
  plan.sketch = {.dimension = d,
                 .degree = plan.degree,
                 .columns = plan.sketch_columns,
                 .seed = seed ^ kSketchSeed};
  std::vector<double> energies = EnergiesOf(rows, plan.degree);
  std::fill(energies.begin(), energies.begin() + plan.exact_levels, 0.0);
  plan.sketch.kind = CheaperKind(plan.sketch, energies);
  plan.flops += n * FlopsOf(plan.sketch);
  return plan;
}

absl::StatusOr<TaylorFactor> TaylorFeatures(const TaylorPlan& plan,
                                            FactorPrecision precision,
                                            const PreconditionerSource& source,
                                            const ComputeContext& context) {
  return precision == FactorPrecision::kFloat32
             ? FeaturesOf<float>(plan, source, context)
             : FeaturesOf<double>(plan, source, context);
}

absl::StatusOr<std::unique_ptr<LowRankPreconditioner>> MakePolynomialSketch(
    Index rank, const PreconditionerSource& source,
    const ComputeContext& context) {
  const double square = LargestSquare(source.rows);
  if (square > kTaylorSquareMax) {
    return ErrorWithDetail(
        absl::StatusCode::kInvalidArgument,
        absl::StrFormat("preconditioner: a polynomial sketch wants s|a - c|^2 "
                        "<= %g for every row, and one has %g",
                        kTaylorSquareMax, square),
        {.reason = "FIELD_OUT_OF_RANGE", .field = "preconditioner"});
  }
  const Index n = source.rows.rows();
  const TaylorPlan plan =
      PlanTaylorFeatures(source.rows, std::min(rank, n), source.seed);
  const FactorPrecision precision = PrecisionOfFactor(
      KernelPreconditioner::kPolynomialSketch, plan.columns(), source);
  absl::StatusOr<TaylorFactor> factor =
      TaylorFeatures(plan, precision, source, context);
  if (!factor.ok()) return factor.status();
  std::vector<double> diagonal(At(n));
  for (Index i = 0; i < n; ++i) {
    const double w = source.form.weight[At(i)];
    diagonal[At(i)] =
        w * w * source.product.Diagonal(i) - factor->squares[At(i)];
  }
  for (Index i = 0; i < n; ++i) {
    diagonal[At(i)] =
        std::max(DiagonalFloor(source.rows, i),
                 source.form.shift[At(i)] + std::max(0.0, diagonal[At(i)]));
  }
  std::string words = absl::StrFormat("Taylor features of degree %d, %d exact",
                                      plan.degree, plan.exact_columns);
  if (plan.sketch_columns > 0) {
    words += absl::StrFormat(", %d by %s", plan.sketch_columns,
                             plan.sketch.kind == PowerSketchKind::kTree
                                 ? "tree sketch"
                                 : "TensorSketch");
  }
  return LowRankPreconditioner::Make(
      {.kind = KernelPreconditioner::kPolynomialSketch,
       .factor = {.size = n,
                  .rank = plan.columns(),
                  .blocks = {std::move(factor->features)}},
       .diagonal = std::move(diagonal),
       .description = std::move(words)},
      context);
}

}  // namespace steelyard
