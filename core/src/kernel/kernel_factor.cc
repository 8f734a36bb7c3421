#include "kernel/kernel_factor.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernel/kernel_cost.h"
#include "kernel/kernel_product.h"
#include "kernel/scaled_system.h"
#include "preconditioner/choose_preconditioner.h"

namespace steelyard {
namespace {

absl::StatusOr<double> ConditionOf(const KernelFactor& factor,
                                   KernelProduct& product,
                                   const ComputeContext& context) {
  const absl::StatusOr<double> inverse = factor.dense->InverseNorm(context);
  if (!inverse.ok()) return inverse.status();
  // |S| from below: S is nonnegative, the vector of ones is near its first
  // eigenvector.
  const Index n = factor.n();
  ScaledSystem system(factor.rows, factor.form, product);
  Matrix<double> ones(1, n);
  std::fill(ones.data(), ones.data() + n, 1.0);
  Matrix<double> sums(1, n);
  const absl::Status done =
      system.Apply(ones, TilePrecision::kFloat64, sums, context);
  if (!done.ok()) return done;
  double square = 0.0;
  for (Index i = 0; i < n; ++i) square += sums(0, i) * sums(0, i);
  return *inverse * std::max(1.0, std::sqrt(square / static_cast<double>(n)));
}

absl::Status PrepareDense(KernelFactor& factor, const ComputeContext& context) {
  KernelProduct product(factor.rows, factor.form.offsets,
                        factor.form.unit_diagonal);
  context.Report({.phase = "factor", .fraction = std::nullopt});
  absl::StatusOr<DenseFactor> dense =
      DenseFactor::Make(factor.rows, factor.form, product, context);
  if (!dense.ok()) return dense.status();
  factor.dense = *std::move(dense);
  if (!factor.dense->positive_definite()) {
    const absl::StatusOr<SmallestRidge> smallest =
        FindSmallestRidge(factor.rows, factor.form, context);
    if (!smallest.ok()) return smallest.status();
    factor.smallest_ridge = *smallest;
    return absl::OkStatus();
  }
  const absl::StatusOr<double> condition =
      ConditionOf(factor, product, context);
  if (!condition.ok()) return condition.status();
  factor.dense_condition = *condition;
  return absl::OkStatus();
}

// A preconditioner that is named or chosen by probing. Returns the steps that
// are expected of it, 0 where nobody looked.
absl::StatusOr<double> PreparePreconditioner(KernelFactor& factor,
                                             const ComputeContext& context) {
  const AttentionKernelOptions& options = factor.options;
  const auto& kind = options.preconditioner;
  if (kind == KernelPreconditioner::kJacobi) return 0.0;
  const auto product = std::make_shared<KernelProduct>(
      factor.rows, factor.form.offsets, factor.form.unit_diagonal);
  const PreconditionerSource source{.rows = factor.rows,
                                    .form = factor.form,
                                    .product = *product,
                                    .seed = options.seed};
  const bool grown = !kind.has_value() || !options.preconditioner_rank;
  if (!grown || kind == KernelPreconditioner::kNone) {
    context.Report({.phase = "factor", .fraction = std::nullopt});
    absl::StatusOr<std::unique_ptr<Preconditioner>> made = MakePreconditioner(
        *kind, options.preconditioner_rank.value_or(1), source, context);
    if (!made.ok()) return made.status();
    factor.preconditioner = *std::move(made);
    return 0.0;
  }
  context.Report({.phase = "probe", .fraction = std::nullopt});
  factor.product = product;
  absl::StatusOr<PreconditionerChoice> choice =
      ChoosePreconditioner(source,
                           {.bytes = kGrownFactorBytes,
                            .max_rank = options.preconditioner_rank,
                            .kind = kind,
                            .keep_tiles = true},
                           context);
  if (!choice.ok()) return choice.status();
  factor.preconditioner = std::move(choice->preconditioner);
  factor.trials = std::move(choice->trials);
  factor.reason = std::move(choice->reason);
  return choice->iterations_expected;
}

absl::Status PrepareBands(KernelFactor& factor, const ComputeContext& context) {
  absl::StatusOr<std::unique_ptr<const BandSweeps>> bands =
      BandSweeps::Make(factor.rows, factor.form,
                       factor.softmax.has_value() ? &*factor.softmax : nullptr,
                       factor.options, BandLimitsOf(factor.n()), context);
  if (!bands.ok()) return bands.status();
  factor.bands = *std::move(bands);
  return absl::OkStatus();
}

// Cholesky where it is less work than the steps that probing expects.
bool DenseIsCheaper(const KernelFactor& factor, double iterations) {
  const Index d = factor.rows.cols();
  const Index rank =
      factor.preconditioner == nullptr ? 0 : factor.preconditioner->rank();
  return DenseWork(factor.n(), d) <=
         IterativeWork(factor.n(), d, rank, iterations,
                       Float32Allowed(factor.rows, factor.form));
}

double BytesOfVector(const std::vector<double>& values) {
  return 8.0 * static_cast<double>(values.size());
}

}  // namespace

absl::StatusOr<std::shared_ptr<KernelFactor>> MakeKernelFactor(
    const AnyMatrixView& a, const AttentionKernelOptions& options,
    const ComputeContext& context) {
  absl::StatusOr<KernelFactor> loaded = LoadKernelFactor(a, options, context);
  if (!loaded.ok()) return loaded.status();
  auto factor = std::make_shared<KernelFactor>(*std::move(loaded));
  if (absl::Status done = PrepareRoad(*factor, context); !done.ok()) {
    return done;
  }
  return factor;
}

absl::StatusOr<KernelFactor> LoadKernelFactor(
    const AnyMatrixView& a, const AttentionKernelOptions& options,
    const ComputeContext& context) {
  KernelFactor factor;
  factor.options = options;
  absl::StatusOr<KernelRows> rows =
      LoadKernelRows(a, options.scale, options.normalization, context);
  if (!rows.ok()) return rows.status();
  factor.rows = *std::move(rows);
  if (options.normalization == KernelNormalization::kSoftmaxRows) {
    absl::StatusOr<SoftmaxRows> softmax = FindSoftmaxRows(factor.rows, context);
    if (!softmax.ok()) return softmax.status();
    factor.softmax = *std::move(softmax);
  }
  factor.form =
      MakeSymmetricForm(factor.rows, options.normalization, options.ridge,
                        factor.softmax.has_value() ? &*factor.softmax : nullptr,
                        options.row_ridge);
  return factor;
}

absl::Status PrepareRoad(KernelFactor& factor, const ComputeContext& context) {
  const AttentionKernelOptions& options = factor.options;
  Road road = RoadOf(factor.n(), factor.rows.cols(), options);
  const bool wide = factor.form.spread > kCommonScaleSpreadMax;
  // Steps on S say nothing about the true problem then.
  if (road == Road::kCheaper && (wide || factor.form.degenerate)) {
    road = Road::kDense;
  }
  factor.method =
      road == Road::kDense
          ? KernelMethod::kCholesky
          : options.method.value_or(KernelMethod::kConjugateGradient);
  if (road == Road::kDense) return PrepareDense(factor, context);
  if (factor.form.degenerate) return absl::OkStatus();
  if (wide) return PrepareBands(factor, context);
  if (factor.method == KernelMethod::kBlockCoordinate) {
    return absl::OkStatus();
  }
  const absl::StatusOr<double> expected =
      PreparePreconditioner(factor, context);
  if (!expected.ok()) return expected.status();
  if (road == Road::kIterative || !DenseIsCheaper(factor, *expected)) {
    return absl::OkStatus();
  }
  factor.preconditioner.reset();
  factor.product.reset();
  factor.method = KernelMethod::kCholesky;
  return PrepareDense(factor, context);
}

std::int64_t BytesOf(const KernelFactor& factor) {
  const auto n = static_cast<double>(factor.n());
  double bytes = 8.0 * static_cast<double>(factor.rows.centred.size());
  const SymmetricForm& form = factor.form;
  for (const std::vector<double>* values :
       {&factor.rows.centred_square, &factor.rows.half_square,
        &factor.rows.centre_logit, &factor.options.row_ridge, &form.ridges,
        &form.offsets, &form.weight, &form.shift, &form.log_left,
        &form.log_right, &form.log_diagonal}) {
    bytes += BytesOfVector(*values);
  }
  if (factor.softmax.has_value()) {
    bytes += BytesOfVector(factor.softmax->log_sums) +
             BytesOfVector(factor.softmax->centred_log_sums);
  }
  if (factor.dense.has_value() && factor.dense->positive_definite()) {
    bytes += 8.0 * n * n;
  }
  if (factor.preconditioner != nullptr) {
    bytes += static_cast<double>(factor.preconditioner->bytes());
  }
  if (factor.bands != nullptr) {
    bytes += static_cast<double>(factor.bands->bytes());
  }
  constexpr double kOwn = 1024.0;  // of the structures themselves
  return static_cast<std::int64_t>(bytes + kOwn);
}

}  // namespace steelyard
