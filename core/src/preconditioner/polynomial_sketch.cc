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
constexpr Index kPanel = 64;
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

absl::StatusOr<Matrix<double>> TaylorFeatures(
    const TaylorPlan& plan, const PreconditionerSource& source,
    const ComputeContext& context) {
  const KernelRows& rows = source.rows;
  const Index n = rows.rows();
  const Index d = rows.cols();
  const std::vector<MonomialStep> steps = MonomialSteps(d, plan.exact_levels);
  std::unique_ptr<PowerSketch> sketch;
  if (plan.sketch_columns > 0) sketch = DrawPowerSketch(plan.sketch);
  std::vector<double> coefficients(At(plan.degree + 1));
  for (int l = plan.exact_levels; l <= plan.degree; ++l) {
    coefficients[At(l)] = std::exp(-0.5 * std::lgamma(l + 1.0));
  }
  auto features = Matrix<double>::Unset(plan.columns(), n);
  ScratchPool panels(kPanel * plan.columns());
  context.workers.ParallelFor(
      (n + kPanel - 1) / kPanel, context.stop, [&](Index panel) {
        const Index first = panel * kPanel;
        const Index count = std::min(kPanel, n - first);
        ScratchPool::Lease lease = panels.Borrow();
        std::vector<double> x(At(d));
        std::vector<double> scratch;
        for (Index i = 0; i < count; ++i) {
          const Index row = first + i;
          double* const f = lease.data() + i * plan.columns();
          std::fill(f, f + plan.columns(), 0.0);
          for (Index c = 0; c < d; ++c) {
            x[At(c)] = std::sqrt(rows.scale) * rows.centred(row, c);
          }
          if (plan.exact_levels > 0) f[0] = 1.0;
          for (std::size_t t = 0; t < steps.size(); ++t) {
            f[t + 1] = f[steps[t].parent] * steps[t].factor *
                       x[At(steps[t].coordinate)];
          }
          if (sketch != nullptr) {
            sketch->Add(x.data(), coefficients, f + plan.exact_columns,
                        scratch);
          }
          const double factor = source.form.weight[At(row)] *
                                std::exp(source.form.offsets[At(row)]);
          for (Index j = 0; j < plan.columns(); ++j) f[j] *= factor;
        }
        for (Index j = 0; j < plan.columns(); ++j) {
          double* const out = features.row(j) + first;
          for (Index i = 0; i < count; ++i) {
            out[i] = lease.data()[i * plan.columns() + j];
          }
        }
      });
  if (absl::Status stop = CheckStop(context.stop); !stop.ok()) return stop;
  return features;
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
  absl::StatusOr<Matrix<double>> features =
      TaylorFeatures(plan, source, context);
  if (!features.ok()) return features.status();
  std::vector<double> diagonal(At(n));
  for (Index i = 0; i < n; ++i) {
    const double w = source.form.weight[At(i)];
    diagonal[At(i)] = w * w * source.product.Diagonal(i);
  }
  for (Index j = 0; j < plan.columns(); ++j) {
    for (Index i = 0; i < n; ++i) {
      diagonal[At(i)] -= (*features)(j, i) * (*features)(j, i);
    }
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
                  .blocks = {std::make_shared<const Matrix<double>>(
                      *std::move(features))}},
       .diagonal = std::move(diagonal),
       .description = std::move(words)},
      context);
}

}  // namespace steelyard
