#include "factor/triangle.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/bounds.h"

namespace steelyard::test {
namespace {

// diag(values) as somebody else's R.
Factor FactorOf(const std::vector<double>& values, FactorMethod method) {
  const auto d = static_cast<Index>(values.size());
  Factor factor;
  factor.method = method;
  factor.r = Matrix<double>(d, d);
  for (Index i = 0; i < d; ++i) {
    factor.r(i, i) = values[static_cast<std::size_t>(i)];
  }
  return factor;
}

class TriangleTest : public testing::Test {
 protected:
  Workers workers_{1};
  ComputeContext context_{workers_};
};

TEST_F(TriangleTest, NormsRankAndConditionOfAFullTriangle) {
  Factor factor = FactorOf({2.0, 1.0, 0.5}, FactorMethod::kQr);
  ASSERT_TRUE(MeasureTriangle(10, context_, factor).ok());
  ASSERT_TRUE(SettleRank(3, false, context_, factor).ok());
  EXPECT_NEAR(factor.frobenius_norm, std::sqrt(5.25), Gamma(8) * 3.0);
  EXPECT_GE(factor.inverse_frobenius_norm, std::sqrt(5.25));
  EXPECT_EQ(factor.rank, 3);
  EXPECT_NEAR(factor.condition, 4.0, Gamma(30) * 4.0);
  EXPECT_EQ(factor.rank_gap, 0.0);
  EXPECT_TRUE(factor.v_transposed.empty());
}

TEST_F(TriangleTest, WhatIsBelowTheThresholdDoesNotCount) {
  Factor factor = FactorOf({1.0, 0.25, 0x1p-52}, FactorMethod::kQr);
  ASSERT_TRUE(MeasureTriangle(10, context_, factor).ok());
  ASSERT_TRUE(SettleRank(3, false, context_, factor).ok());
  EXPECT_EQ(factor.rank, 2);
  EXPECT_NEAR(factor.condition, 4.0, Gamma(30) * 4.0);
  EXPECT_NEAR(factor.rank_gap, 0x1p-50, 0x1p-50 * Gamma(30));
  EXPECT_EQ(factor.v_transposed.rows(), 3);
}

TEST_F(TriangleTest, NoMoreThanTheRowsAllow) {
  Factor factor = FactorOf({1.0, 0.5, 0.25}, FactorMethod::kQr);
  ASSERT_TRUE(MeasureTriangle(2, context_, factor).ok());
  ASSERT_TRUE(SettleRank(2, true, context_, factor).ok());
  EXPECT_EQ(factor.rank, 2);
}

TEST_F(TriangleTest, AGramIsSoundUntilItsErrorDrownsTheSmallestEigenvalue) {
  for (const double condition : {1e3, 1e9}) {
    Factor factor = FactorOf({1.0, 1.0 / condition}, FactorMethod::kGram);
    ASSERT_TRUE(MeasureTriangle(10, context_, factor).ok());
    ASSERT_TRUE(AddCondition(context_, factor).ok());
    EXPECT_NEAR(factor.condition, condition, Gamma(30) * condition);
    EXPECT_EQ(GramLooksSound(factor), condition == 1e3);
  }
}

}  // namespace
}  // namespace steelyard::test
