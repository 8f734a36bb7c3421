#include "kernel/kernel_factor.h"

#include "gtest/gtest.h"
#include "tests/support/kernel_cases.h"

namespace steelyard {
namespace {

class KernelFactorTest : public testing::Test {
 protected:
  Workers workers_{2};
  ComputeContext context_{.workers = workers_};
};

TEST_F(KernelFactorTest, TheRoadIsTheOneThatIsNamed) {
  const Matrix<double> a = test::RowsOfNorm(40, 4, 1.0, 1);
  AttentionKernelOptions options{.ridge = 0.1,
                                 .method = KernelMethod::kCholesky};
  const auto dense = MakeKernelFactor(a.view(), options, context_);
  ASSERT_TRUE(dense.ok()) << dense.status();
  ASSERT_TRUE((*dense)->dense.has_value());
  EXPECT_TRUE((*dense)->dense->positive_definite());
  EXPECT_GE((*dense)->dense_condition, 1.0);
  EXPECT_GE(BytesOf(**dense), 8 * 40 * 40);
  options.method = KernelMethod::kConjugateGradient;
  const auto probed = MakeKernelFactor(a.view(), options, context_);
  ASSERT_TRUE(probed.ok()) << probed.status();
  EXPECT_FALSE((*probed)->trials.empty());
  EXPECT_FALSE((*probed)->reason.empty());
  options.preconditioner = KernelPreconditioner::kJacobi;
  const auto free = MakeKernelFactor(a.view(), options, context_);
  ASSERT_TRUE(free.ok()) << free.status();
  EXPECT_FALSE((*free)->dense.has_value());
  EXPECT_TRUE((*free)->trials.empty());
  EXPECT_LT(BytesOf(**free), BytesOf(**dense));
}

TEST_F(KernelFactorTest, SingularKeepsTheReason) {
  Matrix<double> a = test::RowsOfNorm(20, 4, 1.0, 1);
  test::CopyRow(a, 3, 7);
  const auto factor =
      MakeKernelFactor(a.view(), {.method = KernelMethod::kCholesky}, context_);
  ASSERT_TRUE(factor.ok()) << factor.status();
  EXPECT_FALSE((*factor)->dense->positive_definite());
  ASSERT_TRUE((*factor)->smallest_ridge.has_value());
  EXPECT_LT((*factor)->smallest_ridge->rank, 20);
}

TEST_F(KernelFactorTest, RidgesOfRowsAreAddedToTheCommonOne) {
  const Matrix<double> a = test::RowsOfNorm(3, 2, 1.0, 1);
  const auto factor = LoadKernelFactor(
      a.view(), {.ridge = 0.5, .row_ridge = {1.0, 0.0, 2.0}}, context_);
  ASSERT_TRUE(factor.ok());
  EXPECT_EQ(factor->form.ridges, (std::vector<double>{1.5, 0.5, 2.5}));
  EXPECT_EQ(factor->form.ridge, 0.5);
}

}  // namespace
}  // namespace steelyard
