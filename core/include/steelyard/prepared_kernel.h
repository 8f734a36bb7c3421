// The part of a kernel regression that depends on the keys alone, kept: rows
// ready for logits, and the Cholesky factor or the preconditioner that probing
// chose.
//
// METHOD  Probes run with a random right-hand side of the seed, never with b:
//   what is chosen, and with it every bit of x, is the same with a prepared
//   kernel and without.
//
// SOURCE  NUMERICS N3.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "steelyard/attention_kernel_regression.h"

namespace steelyard {

struct KernelFactor;  // core/src/kernel/kernel_factor.h

// Immutable; copies share it. Does not need A any more.
class PreparedKernel {
 public:
  explicit PreparedKernel(std::shared_ptr<const KernelFactor> factor)
      : factor_(std::move(factor)) {}

  // Memory it holds.
  std::int64_t bytes() const;
  // Whether a solve with `options` on the same A may use it: the same scale,
  // normalisation, ridges, method and preconditioner (unset is one, too), and
  // seed.
  bool Serves(const AttentionKernelOptions& options) const;

  const KernelFactor& factor() const { return *factor_; }
  const std::shared_ptr<const KernelFactor>& shared() const { return factor_; }

 private:
  std::shared_ptr<const KernelFactor> factor_;
};

// COST    CostOfPreparingKernel. Dense: n^3 / 3 + n^2 d flops, 8 n^2 bytes.
//         Matrix-free: n r^2 + n r d to build rank r, some products to probe.
// ERRORS  as SolveAttentionKernelRegression, field "a"; Aborted where the stop
//         reason wants the best answer: there is none yet.
absl::StatusOr<PreparedKernel> PrepareKernel(
    const AnyMatrixView& a, const AttentionKernelOptions& options,
    const ComputeContext& context);
Cost CostOfPreparingKernel(Index n, Index d,
                           const AttentionKernelOptions& options, int workers);

// As SolveAttentionKernelRegression, with the same bits.
absl::StatusOr<Solution> SolveAttentionKernelRegression(
    const PreparedKernel& prepared, const AnyMatrixView& b,
    const AttentionKernelOptions& options, const ComputeContext& context);
// Of the solve alone.
Cost CostOfSolvingPreparedKernel(Index n, Index d, Index k,
                                 const AttentionKernelOptions& options,
                                 int workers);

}  // namespace steelyard
