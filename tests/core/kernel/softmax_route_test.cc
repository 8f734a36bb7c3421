#include "kernel/softmax_route.h"

#include <cmath>

#include "gtest/gtest.h"
#include "tests/support/kernel_oracle.h"
#include "tests/support/kernel_problems.h"

namespace steelyard {
namespace {

class SoftmaxRouteTest : public testing::Test {
 protected:
  // Rows of lengths from 1 to 60: log-sum-exps thousands apart.
  SoftmaxRouteTest() : a_(test::RowsOfNorm(30, 4, 1.0, 1)) {
    for (Index i = 0; i < 30; ++i) {
      for (Index c = 0; c < 4; ++c)
        a_(i, c) *= 1.0 + 2.0 * static_cast<double>(i);
    }
    problem_ = test::LoadProblem(
        a_, b_,
        {.normalization = KernelNormalization::kSoftmaxRows, .ridge = 0.3},
        context_);
  }

  Workers workers_{2};
  ComputeContext context_{.workers = workers_};
  Matrix<double> a_;
  Matrix<double> b_ = test::RowsOfNorm(30, 2, 1.0, 2);
  KernelProblem problem_;
};

TEST_F(SoftmaxRouteTest, BothPreconditionersFindTheSolution) {
  ASSERT_GT(problem_.form().spread, kCommonScaleSpreadMax);
  const auto factor = DenseFactor::Make(problem_.rows(), problem_.form(),
                                        test::ProductOf(problem_), context_);
  ASSERT_TRUE(factor.ok() && factor->positive_definite());
  const DenseFactor* const preconditioners[] = {nullptr, &*factor};
  for (const DenseFactor* preconditioner : preconditioners) {
    const auto answer = SolveSoftmax(problem_, preconditioner, context_);
    ASSERT_TRUE(answer.ok()) << answer.status();
    for (Index c = 0; c < 2; ++c) {
      const ColumnAnswer& column = answer->columns[static_cast<std::size_t>(c)];
      EXPECT_EQ(column.termination, Termination::kConverged);
      const ScaledVector truth = test::SolveKernelMpfr(
          {a_, 1.0, KernelNormalization::kSoftmaxRows, 0.3},
          test::ColumnOf(b_, c), 512);
      ScaledVector gap = column.x;
      for (std::size_t i = 0; i < gap.size(); ++i) {
        gap[i] = Subtract(gap[i], truth[i]);
      }
      const double error = RatioOf(NormOf(gap), NormOf(truth));
      EXPECT_LE(error, column.forward_error);
      EXPECT_LE(error, 1e-6);
    }
  }
}

TEST_F(SoftmaxRouteTest, StoppedItReturnsWhatThereIs) {
  StopSource source;
  source.RequestStop(StopReason::kDraining);
  context_.stop = source.token();
  const auto answer = SolveSoftmax(problem_, nullptr, context_);
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->columns[1].termination, Termination::kStopped);
}

}  // namespace
}  // namespace steelyard
