#include "server/factors/regression_factor.h"

#include <set>
#include <vector>

#include "gtest/gtest.h"
#include "tests/server/factors/small_kernel.h"

namespace steelyard::server {
namespace {

// What Serves tells apart, one change each.
std::vector<RegressionOptions> DifferentOptions() {
  PowerRegressionOptions ridge, method, exponential, seed;
  ridge.ridge = 0.5;
  method.method = PowerMethod::kQr;
  exponential.family = PowerFamily::kMatrixExponential;
  seed.seed = {9};
  AttentionKernelOptions scale, normalization, kernel_ridge, row_ridge,
      other_row_ridge, cholesky, preconditioner, rank, kernel_seed;
  scale.scale = 0.5;
  normalization.normalization = KernelNormalization::kSoftmaxRows;
  kernel_ridge.ridge = 0.5;
  row_ridge.row_ridge = std::vector<double>(test::kKernelRows, 0.5);
  other_row_ridge.row_ridge = row_ridge.row_ridge;
  other_row_ridge.row_ridge.back() = 0.25;
  cholesky.method = KernelMethod::kCholesky;
  preconditioner.preconditioner = KernelPreconditioner::kRpCholesky;
  rank = preconditioner;
  rank.preconditioner_rank = 3;
  kernel_seed.seed = 9;
  return {PowerRegressionOptions(),
          ridge,
          method,
          exponential,
          seed,
          AttentionKernelOptions(),
          scale,
          normalization,
          kernel_ridge,
          row_ridge,
          other_row_ridge,
          cholesky,
          preconditioner,
          rank,
          kernel_seed};
}

TEST(RegressionFactorTest, KeysDifferWhereFactorsDo) {
  std::set<FactorKey> keys;
  for (const RegressionOptions& options : DifferentOptions()) {
    EXPECT_TRUE(keys.insert(FactorKey(options)).second) << keys.size();
    EXPECT_FALSE(keys.insert(FactorKey(options)).second);
  }
}

TEST(RegressionFactorTest, GoalsOfASolveAreNotOfTheKey) {
  AttentionKernelOptions other;
  other.tolerance = 1e-3;
  other.max_iterations = 7;
  EXPECT_EQ(FactorKey(other), FactorKey(AttentionKernelOptions()));
}

TEST(RegressionFactorTest, AKernelServesItsOwnOptionsOnly) {
  for (const RegressionOptions& made : DifferentOptions()) {
    const auto* const kernel = std::get_if<AttentionKernelOptions>(&made);
    if (kernel == nullptr) continue;
    const RegressionFactor factor = test::SmallKernel(*kernel);
    EXPECT_GT(BytesOf(factor), 0);
    for (const RegressionOptions& asked : DifferentOptions()) {
      EXPECT_EQ(Serves(factor, asked), FactorKey(asked) == FactorKey(made));
    }
  }
}

TEST(RegressionFactorTest, EveryKernelHasSomethingToKeep) {
  EXPECT_TRUE(CanPrepare(AttentionKernelOptions()));
  EXPECT_TRUE(CanPrepare(PowerRegressionOptions()));
  PowerRegressionOptions series;
  series.family = PowerFamily::kMatrixExponential;
  series.method = PowerMethod::kSeries;
  EXPECT_FALSE(CanPrepare(series));
}

}  // namespace
}  // namespace steelyard::server
