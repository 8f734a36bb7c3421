// What of a kernel regression depends on the keys and the options alone, and
// what a solve of it stands on.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernel/band_sweeps.h"
#include "kernel/dense_solver.h"
#include "kernel/kernel_product.h"
#include "kernel/logits.h"
#include "kernel/pivoted_rows.h"
#include "kernel/softmax_rows.h"
#include "kernel/symmetric_form.h"
#include "preconditioner/preconditioner.h"
#include "steelyard/attention_kernel_regression.h"
#include "steelyard/compute_context.h"
#include "steelyard/solution.h"

namespace steelyard {

struct KernelFactor {
  // Those that shape the matrix and the road; goals and limits are a solve's.
  AttentionKernelOptions options;
  KernelRows rows;
  std::optional<SoftmaxRows> softmax;  // kSoftmaxRows only
  SymmetricForm form;
  // The road that was taken: options.method, or the cheaper one.
  KernelMethod method = KernelMethod::kConjugateGradient;

  // kCholesky. Not positive definite: `smallest_ridge` says why.
  std::optional<DenseFactor> dense;
  std::optional<SmallestRidge> smallest_ridge;
  double dense_condition = 0.0;

  // Matrix-free. Null: S as it is, the Jacobi scaling.
  std::shared_ptr<const Preconditioner> preconditioner;
  std::vector<PreconditionerTrial> trials;
  std::string reason;  // of the choice, empty where there was none
  // Matrix-free with scales more than e^30 apart, in place of it.
  std::shared_ptr<const BandSweeps> bands;
  // What was probed with, for the solve that comes next: it may keep tiles, and
  // is not kept itself. Null: there was no probing.
  std::shared_ptr<KernelProduct> product;

  Index n() const { return rows.rows(); }
};

using SharedKernelFactor = std::shared_ptr<const KernelFactor>;

// Both steps below. `a` is known to be finite.
absl::StatusOr<std::shared_ptr<KernelFactor>> MakeKernelFactor(
    const AnyMatrixView& a, const AttentionKernelOptions& options,
    const ComputeContext& context);

// Rows, log-sum-exps and the symmetric form; no road yet.
// ERRORS  as LoadKernelRows.
absl::StatusOr<KernelFactor> LoadKernelFactor(
    const AnyMatrixView& a, const AttentionKernelOptions& options,
    const ComputeContext& context);

// The road of a loaded factor, which stays where it is from now on: a Cholesky
// factor or a preconditioner.
// ERRORS  the stop token.
absl::Status PrepareRoad(KernelFactor& factor, const ComputeContext& context);

std::int64_t BytesOf(const KernelFactor& factor);

}  // namespace steelyard
