#include "client/verify/kernel_system.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/client/verify/key_tensors.h"
#include "tests/support/bounds.h"

namespace steelyard::verify {
namespace {

using Normalization = client::KernelNormalization;

RowMatrix SomeRows() {
  return HeadsOf(test::TensorOf(test::NormalMatrix(30, 4, Seed{51})))[0].All();
}

// Row sums of each kernel, entry by entry.
WideVector KernelTimes(const RowMatrix& a, Normalization normalization,
                       long double scale, const WideVector& x) {
  WideVector y = WideVector::Zero(x.size());
  for (Eigen::Index i = 0; i < x.size(); ++i) {
    long double total = 0.0L;
    for (Eigen::Index j = 0; j < x.size(); ++j) {
      long double dot = 0.0L;
      long double distance = 0.0L;
      for (Eigen::Index c = 0; c < a.cols(); ++c) {
        const long double p = static_cast<long double>(a(i, c));
        const long double q = static_cast<long double>(a(j, c));
        dot += p * q;
        distance += (p - q) * (p - q);
      }
      const long double entry = normalization == Normalization::kUnitDiagonal
                                    ? std::exp(-scale * distance / 2)
                                    : std::exp(scale * dot);
      total += entry;
      y[i] += entry * x[j];
    }
    if (normalization == Normalization::kSoftmaxRows) y[i] /= total;
  }
  return y;
}

TEST(KernelSystemTest, TheExactSolutionOfEachNormalization) {
  const RowMatrix a = SomeRows();
  const WideVector x = WideVector::LinSpaced(30, -1, 1);
  for (const Normalization normalization :
       {Normalization::kNone, Normalization::kUnitDiagonal,
        Normalization::kSoftmaxRows}) {
    const double scale = 0.75;
    const double ridge = 0.5;
    const KernelSystem system(a, {scale, normalization}, ridge);
    const WideVector b = KernelTimes(a, normalization, 0.75L, x) + 0.5L * x;
    const SolveFigures figures = system.Examine(b, ScaledOf(x));
    EXPECT_LT(figures.relative_residual, figures.residual_floor);
    EXPECT_LT(figures.componentwise_error, test::kUnitRoundoff);
    // Entries below e^20 with a ridge of 0.5: Higham, ch. 10, n u cond.
    EXPECT_LT(figures.lapack_residual, 1e-9);
    EXPECT_LT(figures.forward_error, 1e-9);
    EXPECT_FALSE(figures.lapack_method.empty());
    const SolveFigures wrong = system.Examine(b, ScaledOf(1.001L * x));
    EXPECT_GT(wrong.relative_residual, 1e-4);
    EXPECT_NEAR(wrong.forward_error, 1e-3, 1e-4);
  }
}

TEST(KernelSystemTest, EveryRowHasItsOwnRidge) {
  const RowMatrix a = SomeRows();
  const WideVector x = WideVector::LinSpaced(30, -1, 1);
  std::vector<double> row_ridge(30);
  for (std::size_t i = 0; i < 30; ++i) {
    row_ridge[i] = 0.125 * static_cast<double>(i);
  }
  const WideVector ridges =
      (0.5L + 0.125L * WideVector::LinSpaced(30, 0, 29).array()).matrix();
  for (const Normalization normalization :
       {Normalization::kNone, Normalization::kUnitDiagonal,
        Normalization::kSoftmaxRows}) {
    const KernelSystem system(a, {0.75, normalization, row_ridge}, 0.5);
    const WideVector b =
        KernelTimes(a, normalization, 0.75L, x) + ridges.cwiseProduct(x);
    const SolveFigures figures = system.Examine(b, ScaledOf(x));
    EXPECT_LT(figures.relative_residual, figures.residual_floor);
    EXPECT_LT(figures.componentwise_error, test::kUnitRoundoff);
    EXPECT_LT(figures.lapack_residual, 1e-9);  // As above.
    EXPECT_LT(figures.forward_error, 1e-9);
    // Without them it is another problem.
    const KernelSystem plain(a, {0.75, normalization}, 0.5);
    EXPECT_GT(plain.Examine(b, ScaledOf(x)).relative_residual, 1e-6);
  }
}

TEST(KernelSystemTest, SoftmaxTakesAnyLogit) {
  RowMatrix a = 1e4 * SomeRows();
  const KernelSystem system(a, {1.0, Normalization::kSoftmaxRows}, 1.0);
  const WideVector x = WideVector::Ones(30);
  // Rows of P sum to 1, so (P + I) 1 = 2.
  const SolveFigures figures = system.Examine(2.0L * x, ScaledOf(x));
  EXPECT_LT(figures.relative_residual, 4 * test::kUnitRoundoff);
}

TEST(KernelSystemTest, LogitsBeyondEightyBitsAreNotRecomputed) {
  const KernelSystem system(1e4 * SomeRows(), {1.0, Normalization::kNone}, 0.0);
  const SolveFigures figures =
      system.Examine(WideVector::Ones(30), ScaledOf(WideVector::Ones(30)));
  EXPECT_TRUE(std::isnan(figures.relative_residual));
  EXPECT_FALSE(figures.remark.empty());
  EXPECT_GT(system.logit_size(), 1e8);
}

}  // namespace
}  // namespace steelyard::verify
