// The mathematics behind kept factors; tests put others in its place.
#pragma once

#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/factors/regression_factor.h"
#include "steelyard/compute_context.h"
#include "steelyard/cost.h"
#include "steelyard/csr_view.h"
#include "steelyard/prepared_kernel.h"
#include "steelyard/prepared_matrix.h"
#include "steelyard/solution.h"

namespace steelyard::server {

struct KernelMath {
  std::function<absl::StatusOr<PreparedKernel>(const AnyMatrixView&,
                                               const AttentionKernelOptions&,
                                               const ComputeContext&)>
      prepare = PrepareKernel;
  std::function<absl::StatusOr<Solution>(
      const PreparedKernel&, const AnyMatrixView&,
      const AttentionKernelOptions&, const ComputeContext&)>
      solve = [](const auto&... arguments) {
        return SolveAttentionKernelRegression(arguments...);
      };
  std::function<absl::StatusOr<Solution>(
      const AnyMatrixView&, const AnyMatrixView&, const AttentionKernelOptions&,
      const ComputeContext&)>
      solve_alone = [](const auto&... arguments) {
        return SolveAttentionKernelRegression(arguments...);
      };
};

struct FactorMath {
  std::function<absl::StatusOr<PreparedMatrix>(
      const DenseOrCsr&, const PowerRegressionOptions&, const ComputeContext&)>
      prepare = PrepareMatrix;
  std::function<std::vector<absl::StatusOr<Solution>>(
      const PreparedMatrix&, const DenseOrCsr&, absl::Span<const AnyMatrixView>,
      const PowerRegressionOptions&, const ComputeContext&)>
      solve_together = SolveTogether;
  // Where time was up before there was a factor.
  std::function<absl::StatusOr<Solution>(
      const DenseOrCsr&, const AnyMatrixView&, const PowerRegressionOptions&,
      const ComputeContext&)>
      solve_alone = SolvePowerRegression;
  std::function<Cost(const PowerShape&, const PowerRegressionOptions&, int)>
      cost_of_preparing = steelyard::CostOfPreparing;
  std::function<Cost(const PowerShape&, const PowerRegressionOptions&, int)>
      cost_of_solving = CostOfSolvingTogether;
  KernelMath kernel = {};

  // The same of any family. `a` of a kernel is dense.
  absl::StatusOr<RegressionFactor> Prepare(const DenseOrCsr& a,
                                           const RegressionOptions& options,
                                           const ComputeContext& context) const;
  std::vector<absl::StatusOr<Solution>> Solve(
      const RegressionFactor& factor, const DenseOrCsr& a,
      absl::Span<const AnyMatrixView> bs, const RegressionOptions& options,
      const ComputeContext& context) const;
  absl::StatusOr<Solution> SolveAlone(const DenseOrCsr& a,
                                      const AnyMatrixView& b,
                                      const RegressionOptions& options,
                                      const ComputeContext& context) const;
  Cost CostOfPreparing(const PowerShape& shape,
                       const RegressionOptions& options, int workers) const;
  Cost CostOfSolving(const PowerShape& shape, const RegressionOptions& options,
                     int workers) const;
};

}  // namespace steelyard::server
