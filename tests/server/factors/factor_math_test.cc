#include "server/factors/factor_math.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/server/factors/small_kernel.h"

namespace steelyard::server {
namespace {

constexpr int kWorkers = 1;
constexpr PowerShape kShape{.n = test::kKernelRows, .d = 2, .k = 1};

std::vector<double> Numbers(const Matrix<double>& x) {
  return {x.data(), x.data() + x.size()};
}

class FactorMathTest : public testing::Test {
 protected:
  static PowerRegressionOptions Power() {
    return {.family = PowerFamily::kLeftGramPower, .exponent = 0};
  }
  static AttentionKernelOptions Kernel() {
    AttentionKernelOptions options;
    options.ridge = 0.5;
    return options;
  }

  const Workers workers_{kWorkers};
  const ComputeContext context_{.workers = workers_};
  const std::vector<double> b_ = std::vector<double>(test::kKernelRows, 1.0);
  const AnyMatrixView b_view_ =
      MatrixView<double>(b_.data(), test::kKernelRows, 1);
  const DenseOrCsr a_ = test::SmallKernelRows();
  const FactorMath math_;
};

TEST_F(FactorMathTest, AKernelIsPreparedAndSolvedAsByCore) {
  const RegressionOptions options = Kernel();
  const auto factor = math_.Prepare(a_, options, context_);
  ASSERT_TRUE(factor.ok()) << factor.status();
  ASSERT_TRUE(std::holds_alternative<PreparedKernel>(*factor));
  const auto answers =
      math_.Solve(*factor, a_, {b_view_, b_view_}, options, context_);
  ASSERT_EQ(answers.size(), 2u);
  const auto alone = math_.SolveAlone(a_, b_view_, options, context_);
  ASSERT_TRUE(alone.ok()) << alone.status();
  EXPECT_EQ(alone->report.termination, Termination::kConverged);
  for (const auto& answer : answers) {
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(Numbers(answer->x), Numbers(alone->x));
  }
}

TEST_F(FactorMathTest, APowerIsPreparedAndSolvedAsByCore) {
  const RegressionOptions options = Power();
  const auto factor = math_.Prepare(a_, options, context_);
  ASSERT_TRUE(factor.ok()) << factor.status();
  ASSERT_TRUE(std::holds_alternative<PreparedMatrix>(*factor));
  const auto answers = math_.Solve(*factor, a_, {b_view_}, options, context_);
  ASSERT_TRUE(answers.front().ok()) << answers.front().status();
  EXPECT_EQ(answers.front()->x.rows(), 2);
  EXPECT_TRUE(math_.SolveAlone(a_, b_view_, options, context_).ok());
}

TEST_F(FactorMathTest, CostsAreThoseOfTheFamily) {
  EXPECT_EQ(
      math_.CostOfPreparing(kShape, Kernel(), kWorkers).flops,
      CostOfPreparingKernel(kShape.n, kShape.d, Kernel(), kWorkers).flops);
  EXPECT_EQ(math_.CostOfSolving(kShape, Kernel(), kWorkers).bytes,
            CostOfSolvingPreparedKernel(kShape.n, kShape.d, kShape.k, Kernel(),
                                        kWorkers)
                .bytes);
  EXPECT_EQ(math_.CostOfPreparing(kShape, Power(), kWorkers).flops,
            CostOfPreparing(kShape, Power(), kWorkers).flops);
  EXPECT_EQ(math_.CostOfSolving(kShape, Power(), kWorkers).flops,
            CostOfSolvingTogether(kShape, Power(), kWorkers).flops);
}

TEST_F(FactorMathTest, AnErrorOfAFamilyIsPassedOn) {
  FactorMath broken;
  broken.kernel.prepare = [](const auto&, const auto&, const auto&) {
    return absl::DataLossError("kernel");
  };
  broken.prepare = [](const auto&, const auto&, const auto&) {
    return absl::DataLossError("power");
  };
  EXPECT_EQ(broken.Prepare(a_, Kernel(), context_).status().message(),
            "kernel");
  EXPECT_EQ(broken.Prepare(a_, Power(), context_).status().message(), "power");
}

}  // namespace
}  // namespace steelyard::server
