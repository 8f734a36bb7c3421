#include "preconditioner/factor_work.h"

#include <algorithm>
#include <cmath>

#include "gtest/gtest.h"
#include "preconditioner/low_rank_preconditioner.h"
#include "preconditioner/polynomial_sketch.h"
#include "preconditioner/random_pivots.h"
#include "tests/core/preconditioner/preconditioner_cases.h"

namespace steelyard {
namespace {

using test::LoadedKernel;

class FactorWorkTest : public testing::Test {
 protected:
  static AttentionKernelOptions Unit(double ridge) {
    return test::KernelOptionsOf(KernelNormalization::kUnitDiagonal, ridge);
  }

  Workers workers_{2};
  ComputeContext context_{.workers = workers_};
};

TEST_F(FactorWorkTest, FlopsOfDoublesCountTwiceBesideFloatTiles) {
  const LoadedKernel eased(test::RowsOfNorm(300, 4, 1.0, 1), Unit(0.1),
                           context_);
  const LoadedKernel tight(test::RowsOfNorm(300, 4, 1.0, 1), Unit(1e-9),
                           context_);
  constexpr auto kKind = KernelPreconditioner::kRpCholesky;
  EXPECT_EQ(WeightOfFactorFlops(kKind, 50, eased.Source()), 1.0);
  EXPECT_EQ(WeightOfFactorFlops(kKind, 50, tight.Source()), 2.0);
  const LoadedKernel far(test::RowsOfNorm(300, 4, 300.0, 1), Unit(1e-9),
                         context_);
  EXPECT_EQ(WeightOfFactorFlops(kKind, 50, far.Source()), 1.0);
}

// n = 300, d = 4: a product is 300^2 * 6 flops.
TEST_F(FactorWorkTest, FlopsOverThoseOfAProduct) {
  const LoadedKernel kernel(test::RowsOfNorm(300, 4, 1.0, 1), Unit(0.1),
                            context_);
  const PreconditionerSource source = kernel.Source();
  const FactorWork work(source);
  EXPECT_EQ(work.product_flops(), 540000.0);
  EXPECT_DOUBLE_EQ(work.ProductsToGrow(10, 30),
                   300.0 * (30.0 * 38.0 - 10.0 * 18.0) / 540000.0);
  EXPECT_DOUBLE_EQ(work.ProductsToInvert(KernelPreconditioner::kRpCholesky, 30),
                   900.0 * 310.0 / 540000.0);
  EXPECT_DOUBLE_EQ(
      work.ProductsOfSketch(5),
      PlanTaylorFeatures(source.rows, 5, 0).flops / 540000.0 +
          work.ProductsToInvert(KernelPreconditioner::kPolynomialSketch, 5));
  EXPECT_EQ(work.PivotsFor(1.0), 30);
  EXPECT_EQ(work.PivotsFor(0.0), 1);
  EXPECT_EQ(work.ProductsOfSteps(7.0, KernelPreconditioner::kJacobi, 0), 7.0);
  EXPECT_GT(work.ProductsOfSteps(7.0, KernelPreconditioner::kRpCholesky, 30),
            7.0);
}

TEST_F(FactorWorkTest, NumbersOfMonomials) {
  const LoadedKernel kernel(test::RowsOfNorm(40, 3, 2.0, 1), Unit(0.1),
                            context_);
  const std::vector<Index> expected = {1, 4, 10, 20};
  EXPECT_EQ(ExactColumns(kernel.Source().rows, 34), expected);
  EXPECT_TRUE(ExactColumns(kernel.Source().rows, 0).empty());
  // Rows of one direction and no length: the series has few levels.
  const LoadedKernel flat(test::RowsOfNorm(40, 1, 1e-3, 1), Unit(0.1),
                          context_);
  EXPECT_LE(ExactColumns(flat.Source().rows, 1000).size(), 2u);
}

// What monomials and pivots leave, against their factors themselves.
TEST_F(FactorWorkTest, LeftIsTheMeanRestOfTheDiagonal) {
  for (const auto normalization :
       {KernelNormalization::kUnitDiagonal, KernelNormalization::kNone,
        KernelNormalization::kSoftmaxRows}) {
    const LoadedKernel kernel(test::RowsOfNorm(60, 3, 1.0, 1),
                              test::KernelOptionsOf(normalization, 0.1),
                              context_);
    const PreconditionerSource source = kernel.Source();
    const FactorWork work(source);
    double all = 0.0;
    double left = 0.0;
    const TaylorPlan plan = PlanTaylorFeatures(source.rows, 10, 0);
    const auto features =
        TaylorFeatures(plan, FactorPrecision::kFloat64, source, context_);
    ASSERT_TRUE(features.ok());
    for (Index i = 0; i < 60; ++i) {
      const double w = source.form.weight[static_cast<std::size_t>(i)];
      const double own = w * w * source.product.Diagonal(i);
      all += own;
      left += own - features->squares[static_cast<std::size_t>(i)];
    }
    EXPECT_NEAR(work.LeftByMonomials(10), left / all, 1e-5);
    RandomPivots pivots(source);
    EXPECT_NEAR(work.LeftOf(pivots.Rest(0)), 1.0, 1e-6);
    ASSERT_TRUE(pivots.Grow(60, context_).ok());
    EXPECT_LT(work.LeftOf(pivots.Rest(pivots.columns())), 1e-3);
    EXPECT_GT(work.LeftOf(pivots.Rest(pivots.columns())), 0.0);
  }
}

TEST_F(FactorWorkTest, LargestRankFitsAndOneMoreDoesNot) {
  for (const double bytes : {1e6, 3e7, 1e9}) {
    const Index rank = LargestRank(bytes, 20000, 32, 2);
    const auto needed = [](Index r) {
      return CostOfPreconditioner(KernelPreconditioner::kRpCholesky, r, 20000,
                                  32, 2)
          .bytes;
    };
    if (rank > 0) {
      EXPECT_LE(needed(rank), bytes);
    }
    EXPECT_GT(needed(rank + 1), bytes);
  }
  EXPECT_EQ(LargestRank(1e12, 50, 8, 2), 50);
}

TEST_F(FactorWorkTest, SketchesInFloat32MayBeLarger) {
  const Matrix<double> a = test::RowsOfNorm(600, 4, 1.0, 1);
  const LoadedKernel eased(a, Unit(0.1), context_);
  const LoadedKernel tight(a, Unit(1e-12), context_);
  const double bytes = CostOfLowRank(300, 600, 1).bytes + 8.0 * 600.0 * 302.0;
  EXPECT_EQ(LargestSketch(bytes, tight.Source()), 300);
  EXPECT_GT(LargestSketch(bytes, eased.Source()), 300);
  EXPECT_EQ(LargestSketch(0.0, eased.Source()), 0);
  EXPECT_EQ(LargestSketch(1e12, eased.Source()), 600);
}

TEST_F(FactorWorkTest, LogitsDecideThePrecisionOfSteps) {
  Matrix<double> a = test::RowsOfNorm(500, 4, 1.5, 1);
  const LoadedKernel small(a, Unit(0.1), context_);
  EXPECT_EQ(StepPrecision(small.Source()), TilePrecision::kFloat32);
  a(3, 0) = 1e3;
  const LoadedKernel large(a, Unit(0.1), context_);
  EXPECT_EQ(StepPrecision(large.Source()), TilePrecision::kFloat64);
}

}  // namespace
}  // namespace steelyard
