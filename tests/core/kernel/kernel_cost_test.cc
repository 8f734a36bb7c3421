#include "kernel/kernel_cost.h"

#include "gtest/gtest.h"
#include "kernel/kernel_product.h"
#include "steelyard/prepared_kernel.h"

namespace steelyard {
namespace {

TEST(KernelCostTest, ANamedMethodIsTakenAndSizesDecideOtherwise) {
  EXPECT_EQ(RoadOf(100, 8, {.method = KernelMethod::kConjugateGradient}),
            Road::kIterative);
  EXPECT_EQ(RoadOf(100, 8, {.method = KernelMethod::kBlockCoordinate}),
            Road::kIterative);
  EXPECT_EQ(RoadOf(1000000, 8, {.method = KernelMethod::kCholesky}),
            Road::kDense);
  EXPECT_EQ(RoadOf(100, 8, {}), Road::kDense);
  EXPECT_EQ(RoadOf(10000, 8, {}), Road::kCheaper);
  EXPECT_EQ(
      RoadOf(100, 8, {.preconditioner = KernelPreconditioner::kRpCholesky}),
      Road::kIterative);
  EXPECT_EQ(RoadOf(1000000, 8, {}), Road::kIterative);
}

TEST(KernelCostTest, WorkDecidesBySizeAndSteps) {
  // n^3 / 3 against n^2 d a step.
  EXPECT_LT(DenseWork(4000, 64), IterativeWork(4000, 64, 0, 200.0, true));
  EXPECT_GT(DenseWork(15000, 64), IterativeWork(15000, 64, 0, 20.0, true));
  EXPECT_LT(IterativeWork(15000, 64, 0, 20.0, true),
            IterativeWork(15000, 64, 0, 20.0, false));
  EXPECT_LT(GrownRankMax(200000, 32), GrownRankMax(20000, 32));
  EXPECT_GT(GrownRankMax(200000, 32), 50);
}

TEST(KernelCostTest, PreparingAndSolvingAreTheWhole) {
  for (const Index n : {100, 20000}) {
    const Cost prepare = CostOfPreparingKernel(n, 32, {}, 2);
    const Cost solve = CostOfSolvingPreparedKernel(n, 32, 3, {}, 2);
    const Cost whole = CostOfAttentionKernelRegression(n, 32, 3, {}, 2);
    EXPECT_EQ(whole.bytes, prepare.bytes + solve.bytes);
    EXPECT_EQ(whole.flops, prepare.flops + solve.flops);
  }
}

TEST(KernelCostTest, TilesThatMayBeKeptAreReservedOnce) {
  const double tiles = KernelProduct::KeptBytes(16000, 64);
  const AttentionKernelOptions blocks{.method = KernelMethod::kBlockCoordinate};
  const Cost prepare = CostOfPreparingKernel(16000, 64, {}, 2);
  const Cost solve = CostOfSolvingPreparedKernel(16000, 64, 1, {}, 2);
  EXPECT_GT(solve.bytes, tiles);
  EXPECT_DOUBLE_EQ(CostOfAttentionKernelRegression(16000, 64, 1, {}, 2).bytes,
                   prepare.bytes + solve.bytes - tiles);
  EXPECT_LT(CostOfPreparingKernel(16000, 64, blocks, 2).bytes, tiles);
  // From memory a step is a fraction of one that makes the entries.
  EXPECT_LT(IterativeWork(16000, 64, 0, 200.0, true),
            0.5 * IterativeWork(18000, 64, 0, 200.0, true));
}

}  // namespace
}  // namespace steelyard
