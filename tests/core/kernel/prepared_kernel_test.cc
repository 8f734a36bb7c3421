#include "steelyard/prepared_kernel.h"

#include <cmath>

#include "gtest/gtest.h"
#include "kernel/kernel_product.h"
#include "tests/support/allocation_peak.h"
#include "tests/support/kernel_cases.h"

namespace steelyard {
namespace {

class PreparedKernelTest : public testing::Test {
 protected:
  Workers workers_{2};
  ComputeContext context_{.workers = workers_};
  Matrix<double> a_ = test::RowsOfNorm(50, 5, 1.5, 1);
  Matrix<double> b_ = test::RowsOfNorm(50, 3, 1.0, 2);
};

TEST_F(PreparedKernelTest, SolvesWithTheSameBits) {
  for (const auto kind :
       {KernelNormalization::kNone, KernelNormalization::kUnitDiagonal,
        KernelNormalization::kSoftmaxRows}) {
    for (const auto method :
         {KernelMethod::kCholesky, KernelMethod::kConjugateGradient}) {
      const AttentionKernelOptions options{
          .normalization = kind, .ridge = 0.1, .method = method};
      const auto prepared = PrepareKernel(a_.view(), options, context_);
      ASSERT_TRUE(prepared.ok()) << prepared.status();
      EXPECT_GT(prepared->bytes(), 0);
      const auto kept = SolveAttentionKernelRegression(*prepared, b_.view(),
                                                       options, context_);
      const auto whole = SolveAttentionKernelRegression(a_.view(), b_.view(),
                                                        options, context_);
      ASSERT_TRUE(kept.ok() && whole.ok());
      for (Index i = 0; i < kept->x.size(); ++i) {
        ASSERT_EQ(kept->x.data()[i], whole->x.data()[i]);
      }
      EXPECT_EQ(kept->report.method, whole->report.method);
      EXPECT_EQ(kept->report.condition_estimate,
                whole->report.condition_estimate);
    }
  }
}

// Rows of which tiles are kept: by the probing for the solve that comes next,
// or by the solve for itself.
TEST_F(PreparedKernelTest, TilesThatAreKeptChangeNoBitAndAreReserved) {
  constexpr Index kN = 1200;
  constexpr Index kD = 64;
  const Matrix<double> a = test::RowsOfNorm(kN, kD, 1.0, 1);
  const Matrix<double> b = test::RowsOfNorm(kN, 1, 1.0, 2);
  const AttentionKernelOptions options{
      .normalization = KernelNormalization::kUnitDiagonal,
      .ridge = 0.01,
      .method = KernelMethod::kConjugateGradient};
  const double tiles = KernelProduct::KeptBytes(kN, kD);
  ASSERT_GT(tiles, 0.0);
  const auto expect_between = [](double least, double most, const auto& work) {
    const test::AllocationPeak peak;
    auto result = work();
    EXPECT_GE(static_cast<double>(peak.bytes()), least);
    EXPECT_LE(static_cast<double>(peak.bytes()), most);
    return result;
  };
  const auto prepared = expect_between(
      tiles, CostOfPreparingKernel(kN, kD, options, 2).bytes,
      [&] { return PrepareKernel(a.view(), options, context_); });
  ASSERT_TRUE(prepared.ok()) << prepared.status();
  EXPECT_LT(static_cast<double>(prepared->bytes()), tiles);
  const auto kept = expect_between(
      tiles, CostOfSolvingPreparedKernel(kN, kD, 1, options, 2).bytes, [&] {
        return SolveAttentionKernelRegression(*prepared, b.view(), options,
                                              context_);
      });
  ASSERT_TRUE(kept.ok()) << kept.status();
  EXPECT_GT(kept->report.iterations, 5);
  const auto whole = expect_between(
      tiles, CostOfAttentionKernelRegression(kN, kD, 1, options, 2).bytes, [&] {
        return SolveAttentionKernelRegression(a.view(), b.view(), options,
                                              context_);
      });
  ASSERT_TRUE(whole.ok()) << whole.status();
  for (Index i = 0; i < kN; ++i) {
    ASSERT_EQ(kept->x(i, 0), whole->x(i, 0)) << i;
  }
}

TEST_F(PreparedKernelTest, ServesTheSameMatrixAndRoadOnly) {
  const AttentionKernelOptions options{.ridge = 0.1};
  const auto prepared = PrepareKernel(a_.view(), options, context_);
  ASSERT_TRUE(prepared.ok());
  AttentionKernelOptions other = options;
  other.tolerance = 1e-3;
  other.max_iterations = 7;
  EXPECT_TRUE(prepared->Serves(other));
  for (const auto change : std::vector<void (*)(AttentionKernelOptions&)>{
           [](AttentionKernelOptions& o) { o.scale = 2.0; },
           [](AttentionKernelOptions& o) { o.ridge = 0.2; },
           [](AttentionKernelOptions& o) { o.row_ridge = {1.0}; },
           [](AttentionKernelOptions& o) { o.seed = 1; },
           [](AttentionKernelOptions& o) { o.preconditioner_rank = 3; },
           [](AttentionKernelOptions& o) {
             o.preconditioner = KernelPreconditioner::kJacobi;
           },
           [](AttentionKernelOptions& o) {
             o.method = KernelMethod::kCholesky;
           },
           [](AttentionKernelOptions& o) {
             o.normalization = KernelNormalization::kSoftmaxRows;
           }}) {
    other = options;
    change(other);
    EXPECT_FALSE(prepared->Serves(other));
  }
}

TEST_F(PreparedKernelTest, StoppedThereIsNothingToKeep) {
  StopSource source;
  source.RequestStop(StopReason::kTimeLimit);
  context_.stop = source.token();
  EXPECT_EQ(PrepareKernel(a_.view(), {}, context_).status().code(),
            absl::StatusCode::kAborted);
}

}  // namespace
}  // namespace steelyard
