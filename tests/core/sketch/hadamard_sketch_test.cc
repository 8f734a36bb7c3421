#include "sketch/hadamard_sketch.h"

#include <cmath>

#include "gtest/gtest.h"
#include "tests/support/bounds.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

Matrix<double> Formed(Index s, Index n, Seed seed) {
  Matrix<double> identity(n, n);
  for (Index i = 0; i < n; ++i) identity(i, i) = 1.0;
  const Workers workers(1);
  return *ApplySketch({SketchKind::kSrht, s, seed},
                      AnyMatrixView(identity.view()), {}, {workers});
}

TEST(HadamardSketchTest, AllRowsOfAPowerOfTwoAreOrthogonal) {
  for (const Index n : {Index{1}, Index{2}, Index{64}, Index{512}}) {
    const Matrix<double> s = Formed(n, n, {41});
    for (Index i = 0; i < n; ++i) {
      for (Index k = 0; k <= i; ++k) {
        double dot = 0.0;
        for (Index j = 0; j < n; ++j) dot += s(i, j) * s(k, j);
        EXPECT_NEAR(dot, i == k ? 1.0 : 0.0, test::Gamma(n + 3));
      }
    }
  }
}

// Of one block, of several, and of one cut short: rows of one Hadamard matrix
// with columns shuffled and signed have entries of one size and, but for the
// missing columns, orthogonal rows.
TEST(HadamardSketchTest, EntriesHaveOneSize) {
  for (const auto& [s, n] :
       {std::pair<Index, Index>{10, 100}, std::pair<Index, Index>{30, 1500}}) {
    const Matrix<double> formed = Formed(s, n, {42});
    for (Index i = 0; i < s; ++i) {
      Index minus = 0;
      for (Index j = 0; j < n; ++j) {
        EXPECT_EQ(std::abs(formed(i, j)), std::abs(formed(i, 0)));
        minus += formed(i, j) < 0.0 ? 1 : 0;
      }
      // Weights are roots of shares of strata, some 1/s.
      EXPECT_NEAR(std::abs(formed(i, 0)) * std::sqrt(static_cast<double>(s)),
                  1.0, 0.1);
      const double half = static_cast<double>(n) / 2.0;
      EXPECT_NEAR(static_cast<double>(minus), half,
                  6.0 * std::sqrt(half / 2.0));
    }
  }
}

// The mean of |S x|^2 over seeds is |x|^2: within 6 standard deviations of the
// mean, each |S x|^2 spreading by some sqrt(2 / s).
TEST(HadamardSketchTest, KeepsLengthsOnAverage) {
  constexpr Index kN = 300;
  constexpr Index kS = 24;
  constexpr int kSeeds = 200;
  const Matrix<double> x = test::NormalMatrix(kN, 1, {43});
  double length = 0.0;
  for (Index i = 0; i < kN; ++i) length += x(i, 0) * x(i, 0);
  const Workers workers(1);
  double mean = 0.0;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    const auto sketch = ApplySketch({SketchKind::kSrht, kS, {seed}},
                                    AnyMatrixView(x.view()), {}, {workers});
    for (Index i = 0; i < kS; ++i) {
      mean += (*sketch)(i, 0) * (*sketch)(i, 0) / (length * kSeeds);
    }
  }
  EXPECT_NEAR(mean, 1.0, 6.0 * std::sqrt(2.0 / (kS * kSeeds)));
}

}  // namespace
}  // namespace steelyard
