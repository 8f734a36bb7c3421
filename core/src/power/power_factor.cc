#include "power/power_factor.h"

#include <cmath>
#include <optional>
#include <utility>
#include <variant>

#include "power/largest_singular_value.h"
#include "power/matrix_exponential.h"
#include "power/power_ladder.h"
#include "power/sketched_least_squares.h"
#include "sparse/csr_scan.h"

namespace steelyard {
namespace {

// Condition number up to which refinement with the true A repairs a Gram: N1.
constexpr double kGramConditionMax = 1e7;

// Where the family wants the grade of a QR, sparse A have a cheaper way to it.
absl::StatusOr<LadderStep> StepOf(const DenseOrCsr& a,
                                  const ColumnScales& scales,
                                  FactorOptions factor_options,
                                  const PowerRegressionOptions& options,
                                  const ComputeContext& context) {
  if (options.method == PowerMethod::kSketch &&
      options.family != PowerFamily::kMatrixExponential) {
    auto sketch = SketchStep(a, scales, options, context);
    if (!sketch.ok()) return sketch.status();
    if (sketch->has_value()) return **std::move(sketch);
    // No place for a sketch.
    factor_options.method = FactorMethod::kQr;
  }
  if (const auto* const csr = std::get_if<AnyCsrView>(&a)) {
    if (factor_options.method == FactorMethod::kQr &&
        options.method != PowerMethod::kQr) {
      factor_options.method.reset();
      factor_options.grade = FactorGrade::kQr;
    }
    return ClimbSparseLadder(*csr, scales, factor_options, options, context);
  }
  const AnyMatrixView& dense = std::get<AnyMatrixView>(a);
  if (!factor_options.method) {
    return ClimbPowerLadder(dense, scales, factor_options, options, context);
  }
  absl::StatusOr<Factor> factor =
      FactorMatrix(dense, scales, factor_options, context);
  if (!factor.ok()) return factor.status();
  return LadderStep{.factor = *std::move(factor)};
}

// What solves powers without levels, where R is good enough for it.
absl::Status AddSpectral(const DenseOrCsr& a, const ComputeContext& context,
                         PowerFactor& made) {
  if (made.factor.method == FactorMethod::kGram || made.preconditioner)
    return absl::OkStatus();
  absl::StatusOr<std::optional<SpectralFactor>> spectral =
      MakeSpectralFactor({a, made.factor.scales.exponents}, made.factor,
                         made.ridge_diagonal, context);
  if (!spectral.ok()) return spectral.status();
  made.spectral = *std::move(spectral);
  return absl::OkStatus();
}

std::int64_t BytesOf(const Matrix<double>& matrix) { return 8 * matrix.size(); }

std::int64_t BytesOf(const std::vector<double>& numbers) {
  return static_cast<std::int64_t>(8 * numbers.capacity());
}

}  // namespace

std::int64_t PowerFactor::bytes() const {
  auto sum = static_cast<std::int64_t>(sizeof(PowerFactor));
  sum += static_cast<std::int64_t>(factor.description.capacity() +
                                   4 * factor.scales.exponents.capacity());
  sum += BytesOf(factor.r) + BytesOf(factor.v_transposed) +
         BytesOf(factor.singular_values) + BytesOf(ridge_diagonal);
  if (solver.has_value()) sum += solver->bytes();
  if (spectral.has_value()) sum += spectral->bytes();
  if (exponential.has_value()) {
    sum += BytesOf(exponential->v_transposed) + BytesOf(exponential->s) +
           BytesOf(exponential->shifts);
  }
  return sum;
}

absl::StatusOr<ColumnScales> ScanMatrix(const DenseOrCsr& a,
                                        std::string_view field,
                                        const ComputeContext& context) {
  if (const auto* const csr = std::get_if<AnyCsrView>(&a)) {
    return ScanColumns(*csr, field, context);
  }
  return ScanColumns(std::get<AnyMatrixView>(a), field, context);
}

std::optional<FactorMethod> FactorMethodOf(std::optional<PowerMethod> method) {
  if (!method.has_value()) return std::nullopt;
  switch (*method) {
    case PowerMethod::kGram:
      return FactorMethod::kGram;
    case PowerMethod::kQr:
      return FactorMethod::kQr;
    case PowerMethod::kSvd:
      return FactorMethod::kSvd;
    default:
      return std::nullopt;
  }
}

absl::StatusOr<std::shared_ptr<const PowerFactor>> MakePowerFactor(
    const DenseOrCsr& a, const ColumnScales& scales,
    const PowerRegressionOptions& options, FactorGrade grade,
    const ComputeContext& context) {
  const auto made = std::make_shared<PowerFactor>();
  made->ridge = options.ridge;
  made->method = options.method;
  made->sketch = options.sketch;
  made->seed = options.seed;
  const bool exponential = options.family == PowerFamily::kMatrixExponential;
  absl::StatusOr<LadderStep> step = StepOf(
      a, scales,
      {.method = exponential ? FactorMethodOfExponential(scales, options.method)
                             : FactorMethodOf(options.method),
       .gram_condition_max = kGramConditionMax,
       .grade = exponential || options.method ? FactorGrade::kLadder : grade,
       .ridge = options.ridge},
      options, context);
  if (!step.ok()) return step.status();
  made->factor = std::move(step->factor);
  made->sketched = step->sketched;
  made->preconditioner = step->preconditioner;
  made->distortion = step->distortion;
  if (exponential) {
    absl::StatusOr<ExponentialBasis> basis =
        MakeExponentialBasis(made->factor, Rows(a), context);
    if (!basis.ok()) return basis.status();
    made->exponential = *std::move(basis);
    return made;
  }
  if (options.ridge > 0.0) {
    for (const int exponent : made->factor.scales.exponents) {
      made->ridge_diagonal.push_back(
          std::ldexp(std::ldexp(options.ridge, -exponent), -exponent));
    }
  }
  absl::StatusOr<GramSolver> solver = GramSolver::Make(made->factor, context);
  if (!solver.ok()) return solver.status();
  made->solver = *std::move(solver);
  const ScaledMatrix scaled{a, made->factor.scales.exponents};
  std::optional<SketchedSolver> of_a;
  if (made->preconditioner) {
    of_a.emplace(scaled, made->ridge_diagonal, made->factor, made->distortion);
  }
  const absl::StatusOr<double> norm = Log2LargestSingularValue(
      made->factor, *made->solver, of_a ? &*of_a : nullptr, context);
  if (!norm.ok()) return norm.status();
  made->log2_norm = *norm;
  if (grade == FactorGrade::kQr) {
    absl::Status done = AddSpectral(a, context, *made);
    if (!done.ok()) return done;
  }
  return made;
}

}  // namespace steelyard
