#include "kernel/kernel_cost.h"

#include <algorithm>

#include "kernel/band_sweeps.h"
#include "kernel/block_coordinate.h"
#include "kernel/kernel_product.h"
#include "preconditioner/factor_work.h"
#include "steelyard/prepared_kernel.h"

namespace steelyard {
namespace {

// A product is n^2 (d + 2k) flops and n^2 / 2 exponentials of some 20 flops.
double ProductFlops(double n, double d, double k) {
  return n * n * (d + 6.0 * k + 10.0);
}

}  // namespace

Road RoadOf(Index n, Index d, const AttentionKernelOptions& options) {
  if (options.method.has_value()) {
    return *options.method == KernelMethod::kCholesky ? Road::kDense
                                                      : Road::kIterative;
  }
  if (options.preconditioner.has_value() || n > kDenseRowsMax) {
    return Road::kIterative;
  }
  // Probing and steps together are some 25 at least.
  constexpr double kStepsMin = 25.0;
  constexpr Index kAlwaysDense = 1024;
  const bool small = n <= kAlwaysDense ||
                     DenseWork(n, d) <= IterativeWork(n, d, 0, kStepsMin, true);
  return small ? Road::kDense : Road::kCheaper;
}

namespace {

// A symmetric product in float64, in flops of a GEMM in float64: each logit is
// made once, its exponential and sums are some 14 flops (measured at d = 4 to
// 256 with AVX-512; float32 takes half or less).
double ProductWork(double n, double d) { return n * n * (0.8 * d + 14.0); }

// Of a number that comes from memory twice.
constexpr double kReadFlops = 60.0;
// Of a kept tile's number, both of its entries: 14 ms at n = 16384.
constexpr double kKeptFlops = 10.0;
// Products in float32 before tiles are kept.
constexpr double kUnkeptProducts = 3.0;

}  // namespace

double DenseWork(Index n, Index d) {
  const auto rows = static_cast<double>(n);
  const auto cols = static_cast<double>(d);
  // The factor, the matrix, a check, triangular solves from memory.
  return rows * rows * (rows / 3.0 + 200.0) + 2.0 * ProductWork(rows, cols);
}

double IterativeWork(Index n, Index d, Index rank, double iterations,
                     bool float32) {
  const auto rows = static_cast<double>(n);
  const double product = ProductWork(rows, static_cast<double>(d));
  // Residuals in float64.
  constexpr double kChecks = 3.0;
  const double made = (float32 ? 0.5 : 1.0) * product;
  const double factor = kReadFlops * rows * static_cast<double>(rank);
  double work = kChecks * product + iterations * (made + factor);
  if (float32 && KernelProduct::KeptBytes(n, d) > 0.0) {
    const double kept = std::max(0.0, iterations - kUnkeptProducts);
    work += kept * (kKeptFlops * rows * rows - made);
  }
  return work;
}

Index GrownRankMax(Index n, Index d) {
  // For one worker, so that the rank does not depend on their number.
  return LargestRank(kGrownFactorBytes, n, d, 1);
}

namespace {

double PreconditionerBytes(Index n, Index d,
                           const AttentionKernelOptions& options, int workers) {
  const KernelPreconditioner kind =
      options.preconditioner.value_or(KernelPreconditioner::kRpCholesky);
  const Index rank =
      options.preconditioner.has_value() && options.preconditioner_rank
          ? *options.preconditioner_rank
          : std::min(options.preconditioner_rank.value_or(n),
                     GrownRankMax(n, d));
  double bytes =
      CostOfPreconditioner(kind, std::max<Index>(rank, 1), n, d, workers).bytes;
  // A factor of each kind beside the other, while both fit.
  if (!options.preconditioner.has_value()) {
    bytes += std::clamp(kGrownFactorBytes - bytes, 0.0, bytes);
  }
  // Vectors of the probe: of Jacobi and of two ranks.
  return bytes + 8.0 * 16.0 * static_cast<double>(n);
}

// What a solve without a dense factor may keep, in its probing or later.
double TilesBytes(Index n, Index d, const AttentionKernelOptions& options) {
  const bool none = options.method == KernelMethod::kBlockCoordinate ||
                    RoadOf(n, d, options) == Road::kDense;
  return none ? 0.0 : KernelProduct::KeptBytes(n, d);
}

// A block, its factor, and the rows packed once more in both precisions.
double BlockBytes(Index n, Index d) {
  const auto size = static_cast<double>(BlockSize(n));
  return 8.0 * size * (size + 2.0 * static_cast<double>(d) + 50.0) +
         KernelProduct::PackedBytes(n, d);
}

}  // namespace

Cost CostOfPreparingKernel(Index n, Index d,
                           const AttentionKernelOptions& options, int workers) {
  const auto rows = static_cast<double>(n);
  const auto cols = static_cast<double>(d);
  const Road road = RoadOf(n, d, options);
  Cost cost;
  // Rows, a dozen vectors of the form and the sums.
  cost.bytes = 8.0 * rows * (cols + 30.0) + KernelProduct::PackedBytes(n, d) +
               KernelProduct::WorkBytes(n, 3, workers);
  cost.flops = 2.0 * ProductFlops(rows, cols, 1.0);
  double dense = 0.0;
  double free = 0.0;
  if (road != Road::kIterative) {
    dense = 8.0 * rows * rows;
    cost.flops += rows * rows * rows / 3.0 + 20.0 * rows * rows;
  }
  if (road == Road::kIterative) cost.bytes += BandSweeps::BytesMax(n, d);
  if (road != Road::kDense &&
      options.method != KernelMethod::kBlockCoordinate) {
    free =
        PreconditionerBytes(n, d, options, workers) + TilesBytes(n, d, options);
    cost.flops += 10.0 * ProductFlops(rows, cols, 1.0);
  }
  // What was probed is dropped before a dense factor is made.
  cost.bytes += std::max(dense, free);
  return cost;
}

Cost CostOfSolvingPreparedKernel(Index n, Index d, Index k,
                                 const AttentionKernelOptions& options,
                                 int workers) {
  const auto rows = static_cast<double>(n);
  const auto cols = static_cast<double>(d);
  const auto columns = static_cast<double>(k);
  Cost cost;
  // Vectors as doubles and as pairs; those of 16 columns that search together;
  // slots of the product; GMRES basis.
  cost.bytes =
      8.0 * rows *
          (60.0 * columns + 210.0 + 14.0 * static_cast<double>(kTogetherMax)) +
      KernelProduct::PackedBytes(n, d) +
      KernelProduct::WorkBytes(n, 3 * k, workers) + TilesBytes(n, d, options);
  if (options.method == KernelMethod::kBlockCoordinate) {
    cost.bytes += BlockBytes(n, d);
  }
  const double product = ProductFlops(rows, cols, columns);
  cost.flops = RoadOf(n, d, options) == Road::kDense
                   ? 20.0 * rows * rows * columns + 8.0 * product
                   : static_cast<double>(options.max_iterations) * product;
  return cost;
}

Cost CostOfAttentionKernelRegression(Index n, Index d, Index k,
                                     const AttentionKernelOptions& options,
                                     int workers) {
  Cost cost = CostOfPreparingKernel(n, d, options, workers);
  cost += CostOfSolvingPreparedKernel(n, d, k, options, workers);
  // Those of the probing go on.
  cost.bytes -= TilesBytes(n, d, options);
  return cost;
}

}  // namespace steelyard
