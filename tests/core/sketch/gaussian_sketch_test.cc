#include "sketch/gaussian_sketch.h"

#include <cmath>

#include "gtest/gtest.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

Matrix<double> Formed(Index s, Index n, Seed seed) {
  Matrix<double> identity(n, n);
  for (Index i = 0; i < n; ++i) identity(i, i) = 1.0;
  const Workers workers(1);
  return *ApplySketch({SketchKind::kGaussian, s, seed},
                      AnyMatrixView(identity.view()), {}, {workers});
}

// Mean 0, variance 1/s, fourth moment 3/s^2, neighbours uncorrelated: each
// within 6 standard deviations of its estimate (false alarm 2e-9 each).
TEST(GaussianSketchTest, EntriesHaveTheMomentsOfNormals) {
  constexpr Index kS = 101;
  constexpr Index kN = 701;
  const Matrix<double> s = Formed(kS, kN, {31});
  const double count = kS * kN;
  double first = 0.0, second = 0.0, fourth = 0.0, beside = 0.0, below = 0.0;
  for (Index i = 0; i < kS; ++i) {
    for (Index j = 0; j < kN; ++j) {
      const double x = s(i, j) * std::sqrt(static_cast<double>(kS));
      first += x;
      second += x * x;
      fourth += x * x * x * x;
      if (j > 0) beside += x * s(i, j - 1) * std::sqrt(101.0);
      if (i > 0) below += x * s(i - 1, j) * std::sqrt(101.0);
    }
  }
  const double root = std::sqrt(count);
  EXPECT_LE(std::abs(first), 6.0 * root);
  EXPECT_LE(std::abs(second - count), 6.0 * std::sqrt(2.0) * root);
  EXPECT_LE(std::abs(fourth - 3.0 * count), 6.0 * std::sqrt(96.0) * root);
  EXPECT_LE(std::abs(beside), 6.0 * root);
  EXPECT_LE(std::abs(below), 6.0 * root);
}

TEST(GaussianSketchTest, TilesAndBlocksDoNotShow) {
  // More rows than a tile, more columns than a block: entry (i, j) of a longer
  // matrix is that of a shorter one.
  const Matrix<double> longer = Formed(520, 700, {32});
  const Matrix<double> shorter = Formed(520, 525, {32});
  for (Index i = 0; i < 520; ++i) {
    for (Index j = 0; j < 525; ++j) EXPECT_EQ(longer(i, j), shorter(i, j));
  }
}

}  // namespace
}  // namespace steelyard
