#include "client/verify/exponential_system.h"

#include <cmath>

#include <gtest/gtest.h>

#include "tests/client/verify/key_tensors.h"
#include "tests/support/bounds.h"

namespace steelyard::verify {
namespace {

TEST(ExponentialSystemTest, ADiagonalMatrixHasAnExactAnswer) {
  RowMatrix a = RowMatrix::Zero(4, 3);
  a(0, 0) = 0.5;
  a(1, 1) = 2.0;
  a(2, 2) = 3.0;
  WideVector b(3);
  b << 1.0L, -2.0L, 5.0L;
  WideVector x(3);
  for (Eigen::Index i = 0; i < 3; ++i) {
    const auto s = static_cast<long double>(a(i, i));
    x[i] = b[i] * std::exp(-s * s);
  }
  const ExponentialSystem system(a);
  const SolveFigures figures = system.Examine(b, ScaledOf(x));
  EXPECT_LT(figures.relative_residual, test::kUnitRoundoff);
  // Largest entry of S^2 times a few roundings.
  EXPECT_LT(figures.forward_error, 64 * test::kUnitRoundoff);
  EXPECT_LT(figures.lapack_error, 64 * test::kUnitRoundoff);
  EXPECT_GT(system.Examine(b, ScaledOf(2.0L * x)).relative_residual, 0.9);
}

TEST(ExponentialSystemTest, WhatIsTooLargeIsNotRecomputed) {
  const RowMatrix a = RowMatrix::Constant(3, 2, 100.0);
  const ExponentialSystem system(a);
  const SolveFigures figures =
      system.Examine(WideVector::Ones(2), ScaledOf(WideVector::Ones(2)));
  EXPECT_TRUE(std::isnan(figures.relative_residual));
  EXPECT_FALSE(figures.remark.empty());
}

}  // namespace
}  // namespace steelyard::verify
