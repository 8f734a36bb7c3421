#include "preconditioner/probe.h"

#include <cmath>

#include "gtest/gtest.h"
#include "preconditioner/random_pivots.h"
#include "tests/core/preconditioner/preconditioner_cases.h"
#include "tests/support/bounds.h"

namespace steelyard {
namespace {

using test::LoadedKernel;

class ProbeTest : public testing::Test {
 protected:
  std::unique_ptr<Preconditioner> Make(const LoadedKernel& kernel,
                                       KernelPreconditioner kind, Index rank) {
    return MakePreconditioner(kind, rank, kernel.Source(), context_).value();
  }

  Workers workers_{2};
  ComputeContext context_{.workers = workers_};
};

TEST_F(ProbeTest, RunsDoNotMeetAndShareTheirTiles) {
  const LoadedKernel kernel(
      test::RowsOfNorm(150, 6, 1.0, 1),
      test::KernelOptionsOf(KernelNormalization::kNone, 0.1), context_);
  const PreconditionerSource source = kernel.Source();
  const auto jacobi = Make(kernel, KernelPreconditioner::kJacobi, 0);
  const auto low_rank = Make(kernel, KernelPreconditioner::kRpCholesky, 30);
  Probe together(source);
  Probe alone(source);
  ASSERT_EQ(together.Add(*jacobi, context_).value(), 0);
  ASSERT_EQ(together.Add(*low_rank, context_).value(), 1);
  ASSERT_EQ(alone.Add(*low_rank, context_).value(), 0);
  for (int step = 0; step < 5; ++step) {
    ASSERT_TRUE(together.Step({0, 1}, context_).ok());
    ASSERT_TRUE(alone.Step({0}, context_).ok());
  }
  ASSERT_EQ(together.run(1).residuals.size(), 6u);
  for (std::size_t step = 0; step < 6; ++step) {
    // Products may add up in another order: errors of five steps.
    EXPECT_NEAR(together.run(1).residuals[step], alone.run(0).residuals[step],
                1e5 * test::Gamma(150));
  }
  // 5 products with 2 vectors, 5 with 1; and 4 n r a step.
  const double apply = 4.0 * 30.0 / (150.0 * 8.0);
  EXPECT_NEAR(together.products(), 5.0 * (10.0 / 8.0 + apply), 1e-9);
  EXPECT_NEAR(alone.products(), 5.0 * (1.0 + apply), 1e-9);
}

TEST_F(ProbeTest, ResidualsAreThoseOfTheProblem) {
  // As many steps as rows solve it, whatever the preconditioner.
  const LoadedKernel kernel(
      test::RowsOfNorm(12, 6, 1.5, 1),
      test::KernelOptionsOf(KernelNormalization::kSoftmaxRows, 0.5), context_);
  const PreconditionerSource source = kernel.Source();
  Probe probe(source);
  std::vector<std::unique_ptr<Preconditioner>> made;
  std::vector<Index> runs;
  for (const auto kind :
       {KernelPreconditioner::kNone, KernelPreconditioner::kJacobi,
        KernelPreconditioner::kRpCholesky}) {
    made.push_back(Make(kernel, kind, 4));
    runs.push_back(probe.Add(*made.back(), context_).value());
    EXPECT_EQ(probe.run(runs.back()).residuals, std::vector<double>{1.0});
  }
  for (int step = 0; step < 12; ++step) {
    ASSERT_TRUE(probe.Step(runs, context_).ok());
  }
  for (const Index run : runs) {
    EXPECT_LT(probe.run(run).residuals.back(), 1e-8);
    EXPECT_GT(probe.run(run).residuals[1], 1e-8);
    EXPECT_EQ(probe.run(run).lanczos.alpha.size(), 12u);
  }
}

TEST_F(ProbeTest, AnExactPreconditionerIsDoneInOneStep) {
  const LoadedKernel kernel(
      test::RowsOfNorm(40, 3, 1.0, 1),
      test::KernelOptionsOf(KernelNormalization::kUnitDiagonal, 0.2), context_);
  const PreconditionerSource source = kernel.Source();
  const auto whole = Make(kernel, KernelPreconditioner::kRpCholesky, 40);
  Probe probe(source);
  ASSERT_EQ(probe.Add(*whole, context_).value(), 0);
  ASSERT_TRUE(probe.Step({0}, context_).ok());
  EXPECT_LT(probe.run(0).residuals[1], 1e-10);
}

TEST_F(ProbeTest, AStopEndsAStep) {
  const LoadedKernel kernel(
      test::RowsOfNorm(40, 3, 1.0, 1),
      test::KernelOptionsOf(KernelNormalization::kUnitDiagonal, 0.2), context_);
  const PreconditionerSource source = kernel.Source();
  const auto jacobi = Make(kernel, KernelPreconditioner::kJacobi, 0);
  Probe probe(source);
  ASSERT_TRUE(probe.Add(*jacobi, context_).ok());
  StopSource stop;
  stop.RequestStop(StopReason::kCancelled);
  const ComputeContext stopped{.workers = workers_, .stop = stop.token()};
  EXPECT_EQ(probe.Step({0}, stopped).code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace steelyard
