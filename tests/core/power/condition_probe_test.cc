#include "power/condition_probe.h"

#include <gtest/gtest.h>

#include "tests/core/power/power_problems.h"

namespace steelyard::test {
namespace {

TEST(ConditionProbeTest, TellsGoodFromBadAndIgnoresColumnScales) {
  for (const double condition : {1.0, 1e5, 1e9, 1e13}) {
    Matrix<double> a = MatrixOfCondition(600, 12, condition);
    const auto plain = LooksIllConditioned(a.view(), 1e7, {OneWorker()});
    for (Index i = 0; i < 600; ++i) a(i, 3) *= 0x1p-200;
    const auto scaled = LooksIllConditioned(a.view(), 1e7, {OneWorker()});
    ASSERT_TRUE(plain.ok() && scaled.ok());
    EXPECT_EQ(*plain, condition > 1e7) << condition;
    EXPECT_EQ(*scaled, *plain) << condition;
  }
}

TEST(ConditionProbeTest, SaysNothingOfFewRowsAndOfColumnsItCannotSee) {
  const Matrix<double> few = MatrixOfCondition(90, 12, 1e12);
  EXPECT_FALSE(*LooksIllConditioned(few.view(), 1e7, {OneWorker()}));
  Matrix<double> zero = MatrixOfCondition(600, 12, 1e12);
  for (Index i = 0; i < 600; ++i) zero(i, 4) = i == 1 ? 1.0 : 0.0;
  EXPECT_FALSE(*LooksIllConditioned(zero.view(), 1e7, {OneWorker()}));
}

}  // namespace
}  // namespace steelyard::test
