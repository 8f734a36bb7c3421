#include "kernel/kernel_cost.h"

#include <algorithm>

#include "kernel/kernel_product.h"
#include "steelyard/prepared_kernel.h"

namespace steelyard {
namespace {

// A product is n^2 (d + 2k) flops and n^2 / 2 exponentials of some 20 flops.
double ProductFlops(double n, double d, double k) {
  return n * n * (d + 6.0 * k + 10.0);
}

}  // namespace

KernelMethod MethodBySize(Index n, const AttentionKernelOptions& options) {
  if (options.method.has_value()) return *options.method;
  return n <= kDenseRowsMax ? KernelMethod::kCholesky
                            : KernelMethod::kConjugateGradient;
}

Index DefaultRank(Index n) {
  constexpr Index kRank = 512;
  return std::min(kRank, (n + 3) / 4);
}

Cost CostOfPreparingKernel(Index n, Index d,
                           const AttentionKernelOptions& options, int workers) {
  const auto rows = static_cast<double>(n);
  const auto cols = static_cast<double>(d);
  Cost cost;
  // Rows, a dozen vectors of the form and the sums.
  cost.bytes = 8.0 * rows * (cols + 30.0) + KernelProduct::PackedBytes(n, d) +
               KernelProduct::WorkBytes(n, 3, workers);
  cost.flops = 2.0 * ProductFlops(rows, cols, 1.0);
  if (MethodBySize(n, options) == KernelMethod::kCholesky) {
    cost.bytes += 8.0 * rows * rows;
    cost.flops += rows * rows * rows / 3.0 + 20.0 * rows * rows;
  }
  return cost;
}

Cost CostOfSolvingPreparedKernel(Index n, Index d, Index k,
                                 const AttentionKernelOptions& options,
                                 int workers) {
  const auto rows = static_cast<double>(n);
  const auto cols = static_cast<double>(d);
  const auto columns = static_cast<double>(k);
  Cost cost;
  // Vectors as doubles and as pairs; slots of the product; GMRES basis.
  cost.bytes = 8.0 * rows * (60.0 * columns + 210.0) +
               KernelProduct::PackedBytes(n, d) +
               KernelProduct::WorkBytes(n, 3 * k, workers);
  const double product = ProductFlops(rows, cols, columns);
  cost.flops = MethodBySize(n, options) == KernelMethod::kCholesky
                   ? 20.0 * rows * rows * columns + 8.0 * product
                   : static_cast<double>(options.max_iterations) * product;
  return cost;
}

Cost CostOfAttentionKernelRegression(Index n, Index d, Index k,
                                     const AttentionKernelOptions& options,
                                     int workers) {
  Cost cost = CostOfPreparingKernel(n, d, options, workers);
  cost += CostOfSolvingPreparedKernel(n, d, k, options, workers);
  return cost;
}

}  // namespace steelyard
