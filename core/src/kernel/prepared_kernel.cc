#include "steelyard/prepared_kernel.h"

#include <utility>

#include "factor/factor.h"
#include "kernel/kernel_factor.h"
#include "linalg/stopped.h"

namespace steelyard {

std::int64_t PreparedKernel::bytes() const { return BytesOf(*factor_); }

bool PreparedKernel::Serves(const AttentionKernelOptions& options) const {
  const AttentionKernelOptions& mine = factor_->options;
  return mine.scale == options.scale &&
         mine.normalization == options.normalization &&
         mine.ridge == options.ridge && mine.row_ridge == options.row_ridge &&
         mine.method == options.method &&
         mine.preconditioner == options.preconditioner &&
         mine.preconditioner_rank == options.preconditioner_rank &&
         mine.seed == options.seed;
}

absl::StatusOr<PreparedKernel> PrepareKernel(
    const AnyMatrixView& a, const AttentionKernelOptions& options,
    const ComputeContext& context) {
  context.Report({.phase = "scan", .fraction = 0.0});
  if (absl::Status finite = CheckFinite(a, "a", context); !finite.ok()) {
    return finite;
  }
  absl::StatusOr<std::shared_ptr<KernelFactor>> factor =
      MakeKernelFactor(a, options, context);
  if (!factor.ok()) return factor.status();
  (*factor)->product.reset();
  // What was cut short is not kept.
  if (absl::Status stop = CheckStop(context.stop); !stop.ok()) return stop;
  return PreparedKernel(*std::move(factor));
}

}  // namespace steelyard
