#include "kernel/kernel_cost.h"

#include "gtest/gtest.h"
#include "steelyard/prepared_kernel.h"

namespace steelyard {
namespace {

TEST(KernelCostTest, ANamedMethodIsTaken) {
  EXPECT_EQ(MethodBySize(100, {.method = KernelMethod::kConjugateGradient}),
            KernelMethod::kConjugateGradient);
  EXPECT_EQ(MethodBySize(1000000, {.method = KernelMethod::kCholesky}),
            KernelMethod::kCholesky);
  EXPECT_EQ(MethodBySize(100, {}), KernelMethod::kCholesky);
  EXPECT_EQ(MethodBySize(1000000, {}), KernelMethod::kConjugateGradient);
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

}  // namespace
}  // namespace steelyard
