#include "power/power_ladder.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "power/condition_probe.h"
#include "published/sketched_triangle.h"
#include "sparse/csr_factor.h"
#include "sparse/sparse_rows.h"

namespace steelyard {
namespace {

// Up to here a Gram is kept: N1.
constexpr double kGramConditionMax = 1e7;
// Up to here the QR of a sketch is a preconditioner: N1.
constexpr double kSketchConditionMax = 1e14;
// A sketch of fewer rows saves nothing.
constexpr Index kRowsForSketch = 16;
// Entries a row of a sparse A, on average, below which a sketch is not thought
// of: it is a large part of such a matrix.
constexpr double kEntriesForSketch = 16.0;
// n d^2 below which a Householder QR takes some 30 ms, and no cleverness pays.
constexpr double kFlopsForSketch = 2e9;
// What reading one entry of A costs in a pass, in multiply-adds of a Gram's
// kernels: 819 MB in 0.016 s, 2.6e10 in 0.16 s on two cores of this processor.
constexpr double kFlopsPerEntryRead = 30.0;
// Bits that the steps of a least-squares solve win, with restarts.
constexpr double kBitsToWin = 60.0;

double Real(Index i) { return static_cast<double>(i); }

bool SketchPays(Index n, Index d) {
  return n >= kRowsForSketch * d &&
         Real(n) * Real(d) * Real(d) >= kFlopsForSketch;
}

// Steps of sketched_least_squares.h, a read of A each: bits over log2(1 / eta).
double StepsFor(const SketchPlan& plan, Index d) {
  return kBitsToWin / (0.5 * std::log2(Real(plan.rows) / Real(d)));
}

// R0 alone, for this regression and this one only, is less than a repair.
bool StepsAreCheaper(const SketchPlan& plan, Index d,
                     const FactorOptions& factor_options,
                     const PowerRegressionOptions& options) {
  return factor_options.grade == FactorGrade::kLadder &&
         options.family == PowerFamily::kLeftGramPower &&
         options.exponent == 0 && !options.extended_output &&
         StepsFor(plan, d) * kFlopsPerEntryRead < 2.0 * Real(d);
}

// What is known before A is read.
bool MaySketch(const PowerShape& shape, const PowerRegressionOptions& options) {
  if (!shape.nonzeros) return SketchPays(shape.n, shape.d);
  // Rows as full as they can be have the most pairs.
  const double nonzeros = Real(*shape.nonzeros);
  return options.family != PowerFamily::kMatrixExponential &&
         SketchIsLeast({.n = shape.n,
                        .d = shape.d,
                        .nonzeros = nonzeros,
                        .pairs = 0.5 * nonzeros * (Real(shape.d) + 1.0)},
                       options);
}

}  // namespace

absl::StatusOr<std::optional<LadderStep>> SketchStep(
    const DenseOrCsr& a, const ColumnScales& scales,
    const PowerRegressionOptions& options, const ComputeContext& context) {
  const SketchPlan plan = SketchFor(a, options.sketch, options.seed);
  absl::StatusOr<SketchedTriangle> made =
      SketchTriangle(a, scales, plan, options.ridge, context);
  if (!made.ok()) return made.status();
  if (made->distortion == 0.0 || made->factor.rank < Cols(a) ||
      made->factor.condition > kSketchConditionMax) {
    return std::nullopt;
  }
  return LadderStep{.factor = std::move(made->factor),
                    .sketched = true,
                    .preconditioner = true,
                    .distortion = made->distortion};
}

absl::StatusOr<LadderStep> ClimbPowerLadder(
    const AnyMatrixView& a, const ColumnScales& scales,
    FactorOptions factor_options, const PowerRegressionOptions& options,
    const ComputeContext& context) {
  LadderStep step;
  if (SketchPays(Rows(a), Cols(a))) {
    const absl::StatusOr<bool> ill =
        LooksIllConditioned(a, kGramConditionMax, context);
    if (!ill.ok()) return ill.status();
    const SketchPlan plan = SketchFor(a, options.sketch, options.seed);
    std::optional<LadderStep> sketch;
    if (*ill && StepsAreCheaper(plan, Cols(a), factor_options, options)) {
      auto made = SketchStep(a, scales, options, context);
      if (!made.ok()) return made.status();
      sketch = *std::move(made);
      if (sketch && sketch->factor.condition > kGramConditionMax) {
        return *std::move(sketch);
      }
    }
    factor_options.skip_gram = *ill && !sketch;
    factor_options.otherwise = [&, sketch](const ColumnScales& raised)
        -> absl::StatusOr<std::optional<Factor>> {
      step.sketched = true;
      if (sketch) return sketch->factor;
      auto made = SketchStep(a, raised, options, context);
      if (!made.ok()) return made.status();
      if (!made->has_value()) return std::nullopt;
      return (*made)->factor;
    };
  }
  absl::StatusOr<Factor> factor =
      FactorMatrix(a, scales, factor_options, context);
  if (!factor.ok()) return factor.status();
  step.factor = *std::move(factor);
  step.sketched =
      step.sketched && step.factor.method == FactorMethod::kRepaired;
  return step;
}

bool SketchIsLeast(const CsrCounts& a, const PowerRegressionOptions& options) {
  if (options.extended_output || a.n < kRowsForSketch * a.d ||
      a.nonzeros < kEntriesForSketch * Real(a.n)) {
    return false;
  }
  const SketchPlan plan = SketchFor(a.n, a.d, static_cast<Index>(a.nonzeros),
                                    options.sketch, options.seed);
  const bool odd = options.family == PowerFamily::kLeftGramPower;
  const double levels = options.exponent + (odd ? 1.0 : 0.0);
  const double work = WorkOfSketch(a, plan.rows, levels * StepsFor(plan, a.d));
  return work < WorkOfGram(a) && work < WorkOfRows(a);
}

absl::StatusOr<LadderStep> ClimbSparseLadder(
    const AnyCsrView& a, const ColumnScales& scales,
    const FactorOptions& factor_options, const PowerRegressionOptions& options,
    const ComputeContext& context) {
  if (!options.method && factor_options.grade == FactorGrade::kLadder &&
      options.family != PowerFamily::kMatrixExponential &&
      SketchIsLeast(CountsOf(SparseRows(a, {})), options)) {
    auto sketch = SketchStep(a, scales, options, context);
    if (!sketch.ok()) return sketch.status();
    if (sketch->has_value()) return **std::move(sketch);
  }
  absl::StatusOr<Factor> factor = FactorCsr(a, scales, factor_options, context);
  if (!factor.ok()) return factor.status();
  return LadderStep{.factor = *std::move(factor)};
}

Cost CostOfSketchStep(const PowerShape& shape,
                      const PowerRegressionOptions& options, int workers) {
  if (options.method || !MaySketch(shape, options)) return {};
  // SketchFor looks at the sizes alone.
  const Index entries = shape.nonzeros.value_or(shape.n * shape.d);
  SketchPlan plan =
      SketchFor(shape.n, shape.d, entries, options.sketch, options.seed);
  if (!shape.nonzeros) {
    // 32 d rows at the most.
    plan.rows = options.sketch.rows.value_or(std::min(shape.n, 32 * shape.d));
  }
  Cost cost = CostOfSketchedTriangle(plan, shape.n, shape.d, entries, workers);
  // Steps: d x k vectors; and a sample of rows.
  const double d = Real(shape.d);
  cost.bytes += 8.0 * d * (12.0 * Real(std::min<Index>(shape.k, 64)) + 8.0 * d);
  const double levels = shape.nonzeros ? options.exponent + 1.0 : 1.0;
  cost.flops += levels * 4.0 * kBitsToWin * Real(shape.k) * Real(entries);
  return cost;
}

}  // namespace steelyard
