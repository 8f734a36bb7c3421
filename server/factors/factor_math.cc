#include "server/factors/factor_math.h"

#include <utility>

namespace steelyard::server {
namespace {

const AttentionKernelOptions* KernelOf(const RegressionOptions& options) {
  return std::get_if<AttentionKernelOptions>(&options);
}

const PowerRegressionOptions& PowerOf(const RegressionOptions& options) {
  return std::get<PowerRegressionOptions>(options);
}

template <typename Prepared>
absl::StatusOr<RegressionFactor> FactorOf(absl::StatusOr<Prepared> prepared) {
  if (!prepared.ok()) return prepared.status();
  return RegressionFactor(*std::move(prepared));
}

}  // namespace

absl::StatusOr<RegressionFactor> FactorMath::Prepare(
    const DenseOrCsr& a, const RegressionOptions& options,
    const ComputeContext& context) const {
  if (const auto* const of_kernel = KernelOf(options)) {
    return FactorOf(
        kernel.prepare(std::get<AnyMatrixView>(a), *of_kernel, context));
  }
  return FactorOf(prepare(a, PowerOf(options), context));
}

std::vector<absl::StatusOr<Solution>> FactorMath::Solve(
    const RegressionFactor& factor, const DenseOrCsr& a,
    absl::Span<const AnyMatrixView> bs, const RegressionOptions& options,
    const ComputeContext& context) const {
  const auto* const of_kernel = KernelOf(options);
  if (of_kernel == nullptr) {
    return solve_together(std::get<PreparedMatrix>(factor), a, bs,
                          PowerOf(options), context);
  }
  std::vector<absl::StatusOr<Solution>> answers;
  answers.reserve(bs.size());
  for (const AnyMatrixView& b : bs) {
    answers.push_back(
        kernel.solve(std::get<PreparedKernel>(factor), b, *of_kernel, context));
  }
  return answers;
}

absl::StatusOr<Solution> FactorMath::SolveAlone(
    const DenseOrCsr& a, const AnyMatrixView& b,
    const RegressionOptions& options, const ComputeContext& context) const {
  if (const auto* const of_kernel = KernelOf(options)) {
    return kernel.solve_alone(std::get<AnyMatrixView>(a), b, *of_kernel,
                              context);
  }
  return solve_alone(a, b, PowerOf(options), context);
}

Cost FactorMath::CostOfPreparing(const PowerShape& shape,
                                 const RegressionOptions& options,
                                 int workers) const {
  if (const auto* const of_kernel = KernelOf(options)) {
    return CostOfPreparingKernel(shape.n, shape.d, *of_kernel, workers);
  }
  return cost_of_preparing(shape, PowerOf(options), workers);
}

Cost FactorMath::CostOfSolving(const PowerShape& shape,
                               const RegressionOptions& options,
                               int workers) const {
  if (const auto* const of_kernel = KernelOf(options)) {
    return CostOfSolvingPreparedKernel(shape.n, shape.d, shape.k, *of_kernel,
                                       workers);
  }
  return cost_of_solving(shape, PowerOf(options), workers);
}

}  // namespace steelyard::server
