#include "preconditioner/preconditioner.h"

#include <set>
#include <string>

#include "gtest/gtest.h"
#include "kernel/dense_solver.h"
#include "tests/core/preconditioner/preconditioner_cases.h"

namespace steelyard {
namespace {

constexpr KernelPreconditioner kAll[] = {
    KernelPreconditioner::kNone, KernelPreconditioner::kJacobi,
    KernelPreconditioner::kRpCholesky, KernelPreconditioner::kPolynomialSketch};

TEST(PreconditionerTest, EveryKindHasItsName) {
  std::set<std::string> names;
  for (const KernelPreconditioner kind : kAll) names.insert(NameOf(kind));
  EXPECT_EQ(names, (std::set<std::string>{"none", "Jacobi",
                                          "randomly pivoted Cholesky",
                                          "polynomial sketch"}));
}

TEST(PreconditionerTest, CostGrowsWithTheRank) {
  for (const KernelPreconditioner kind : kAll) {
    const Cost small = CostOfPreconditioner(kind, 100, 10000, 32, 2);
    const Cost large = CostOfPreconditioner(kind, 1000, 10000, 32, 2);
    EXPECT_GT(small.bytes, 0.0);
    EXPECT_GE(large.bytes, small.bytes);
    EXPECT_GE(large.flops, small.flops);
  }
  const Cost cost = CostOfPreconditioner(KernelPreconditioner::kRpCholesky,
                                         1000, 10000, 32, 2);
  EXPECT_GT(cost.bytes, 8.0 * 10000.0 * 1000.0);
  EXPECT_GT(cost.flops, 10000.0 * 1000.0 * 1000.0);
}

TEST(PreconditionerTest, Float32IsForRidgesThatHideIt) {
  Workers workers(1);
  const ComputeContext context{.workers = workers};
  const auto precision = [&](KernelPreconditioner kind, double ridge,
                             Index rank) {
    const test::LoadedKernel kernel(
        test::RowsOfNorm(400, 3, 1.0, 1),
        test::KernelOptionsOf(KernelNormalization::kUnitDiagonal, ridge),
        context);
    return PrecisionOfFactor(kind, rank, kernel.Source());
  };
  constexpr auto kPivots = KernelPreconditioner::kRpCholesky;
  constexpr auto kSketch = KernelPreconditioner::kPolynomialSketch;
  // 2 sqrt(400 100) 2^-24 = 2.4e-5; 400 (2^-24 / 0.02)^2 = 3.6e-9.
  EXPECT_EQ(precision(kPivots, 2.5e-5, 100), FactorPrecision::kFloat32);
  EXPECT_EQ(precision(kPivots, 2.5e-5, 200), FactorPrecision::kFloat64);
  EXPECT_EQ(precision(kPivots, 2.3e-5, 100), FactorPrecision::kFloat64);
  EXPECT_EQ(precision(kSketch, 4e-9, 100), FactorPrecision::kFloat32);
  EXPECT_EQ(precision(kSketch, 3e-9, 100), FactorPrecision::kFloat64);
  EXPECT_EQ(precision(KernelPreconditioner::kJacobi, 1.0, 0),
            FactorPrecision::kFloat64);
}

TEST(PreconditionerTest, FloorIsThatOfThePivotsAndNeverLarge) {
  Workers workers(1);
  const ComputeContext context{.workers = workers};
  Matrix<double> a = test::RowsOfNorm(20, 3, 1.0, 1);
  a(4, 0) = 1e9;
  const test::LoadedKernel kernel(
      a, test::KernelOptionsOf(KernelNormalization::kUnitDiagonal, 0.0),
      context);
  for (Index i = 0; i < 20; ++i) {
    EXPECT_GE(DiagonalFloor(kernel.problem.rows(), i),
              PivotFloor(kernel.problem.rows(), i));
  }
  EXPECT_EQ(DiagonalFloor(kernel.problem.rows(), 4), 0.01);
}

}  // namespace
}  // namespace steelyard
