#include "kernel/pivoted_rows.h"

#include <cmath>

#include "gtest/gtest.h"
#include "kernel/dense_solver.h"
#include "tests/support/kernel_problems.h"

namespace steelyard {
namespace {

class PivotedRowsTest : public testing::Test {
 protected:
  KernelProblem Load(const Matrix<double>& a, KernelNormalization kind) {
    return test::LoadProblem(a, test::RowsOfNorm(a.rows(), 1, 1.0, 2),
                             {.normalization = kind}, context_);
  }

  Workers workers_{2};
  ComputeContext context_{.workers = workers_};
};

TEST_F(PivotedRowsTest, RankIsTheNumberOfDifferentRows) {
  // More than one block of 64, more than one tile of 256.
  Matrix<double> a = test::RowsOfNorm(400, 16, 6.0, 1);
  for (Index i = 0; i < 30; ++i) test::CopyRow(a, 2 * i, 399 - 3 * i);
  const KernelProblem problem = Load(a, KernelNormalization::kUnitDiagonal);
  const auto found =
      FindSmallestRidge(problem.rows(), problem.form(), context_);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->rank, 370);
  // D = 1: the largest floor of the rows that are left.
  EXPECT_LE(found->log_ridge,
            LogSmallestRidgeBound(problem.rows(), problem.form()));
  EXPECT_GE(found->log_ridge, std::log(400.0 * 0x1p-53));
}

TEST_F(PivotedRowsTest, OnlyRowsThatAreLeftCount) {
  // Short rows are doubled, the long ones are not: D of the long ones is no
  // part of the answer, but of the bound over all rows.
  Matrix<double> a = test::RowsOfNorm(20, 6, 1.0, 3);
  test::CopyRow(a, 4, 5);
  for (Index c = 0; c < 6; ++c) a(9, c) = c == 2 ? 8.0 : 0.0;
  const KernelProblem problem = Load(a, KernelNormalization::kNone);
  const auto found =
      FindSmallestRidge(problem.rows(), problem.form(), context_);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->rank, 19);
  const double h = problem.rows().half_square[4];
  EXPECT_NEAR(found->log_ridge,
              std::log(PivotFloor(problem.rows(), 4)) + 2.0 * h, 1e-9);
  EXPECT_GT(LogSmallestRidgeBound(problem.rows(), problem.form()), 20.0);
}

TEST_F(PivotedRowsTest, StopsBetweenSteps) {
  const KernelProblem problem =
      Load(test::RowsOfNorm(50, 6, 5.0, 4), KernelNormalization::kUnitDiagonal);
  StopSource source;
  source.StopAtLook(10);
  const ComputeContext context{.workers = workers_, .stop = source.token()};
  EXPECT_EQ(FindSmallestRidge(problem.rows(), problem.form(), context)
                .status()
                .code(),
            absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace steelyard
