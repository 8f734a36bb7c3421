#include "steelyard/sketch.h"

#include "gtest/gtest.h"
#include "steelyard/status.h"
#include "tests/core/sketch/sparse_matrices.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

using test::CsrMatrix;

DenseOrCsr Dense(const Matrix<double>& a) { return AnyMatrixView(a.view()); }

TEST(SketchForTest, RowsLieBetweenFourAndTwelveAColumn) {
  const Matrix<double> tall = test::NormalMatrix(3000, 10, {21});
  const SketchPlan plan = SketchFor(Dense(tall), {}, {9});
  EXPECT_EQ(plan.kind, SketchKind::kSparseSign);
  EXPECT_GE(plan.rows, 40);
  EXPECT_LE(plan.rows, 120);
  EXPECT_EQ(plan.seed.value, 9u);
  const Matrix<double> flat = test::NormalMatrix(12, 10, {22});
  EXPECT_EQ(SketchFor(Dense(flat), {}, {}).rows, 12);
  // Passes over few entries are cheap: fewer rows.
  const CsrMatrix<float> csr(Matrix<double>(3000, 10));
  EXPECT_LT(SketchFor(AnyCsrView(csr.view()), {}, {}).rows, plan.rows);
}

TEST(SketchForTest, WhatIsSetStays) {
  const Matrix<double> tall = test::NormalMatrix(3000, 10, {21});
  const SketchPlan plan = SketchFor(
      Dense(tall), {.kind = SketchKind::kCountSketch, .rows = 77}, {});
  EXPECT_EQ(plan.kind, SketchKind::kCountSketch);
  EXPECT_EQ(plan.rows, 77);
}

TEST(SketchForTest, ASparseMatrixIsNotMadeDense) {
  const CsrMatrix<float> csr(test::NormalMatrix(30, 4, {23}));
  const DenseOrCsr a = AnyCsrView(csr.view());
  EXPECT_FALSE(CanSketch(SketchKind::kSrht, a));
  EXPECT_TRUE(CanSketch(SketchKind::kGaussian, a));
  const Workers workers(1);
  const auto refused =
      ApplySketch({SketchKind::kSrht, 8, {}}, a, {}, {workers});
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(DetailOf(refused.status())->field, "sketch.kind");
}

}  // namespace
}  // namespace steelyard
