#include "kernel/softmax_rows.h"

#include <cmath>

#include "gtest/gtest.h"
#include "kernel/certificate.h"
#include "tests/support/kernel_cases.h"

namespace steelyard {
namespace {

class SoftmaxRowsTest : public testing::Test {
 protected:
  void Load(double norm) {
    a_ = test::RowsOfNorm(kN, 4, norm, 1);
    for (Index i = 0; i < kN; ++i) a_(i, 0) += 0.5 * norm;
    auto rows = LoadKernelRows(a_.view(), 1.0,
                               KernelNormalization::kSoftmaxRows, context_);
    ASSERT_TRUE(rows.ok()) << rows.status();
    rows_ = *std::move(rows);
    auto softmax = FindSoftmaxRows(rows_, context_);
    ASSERT_TRUE(softmax.ok());
    softmax_ = *std::move(softmax);
  }

  long double Logit(Index i, Index j) const {
    long double sum = 0.0L;
    for (Index c = 0; c < 4; ++c) {
      sum += static_cast<long double>(a_(i, c)) * a_(j, c);
    }
    return sum;
  }

  long double LogSum(Index i) const {
    long double top = Logit(i, 0);
    for (Index j = 1; j < kN; ++j) top = std::max(top, Logit(i, j));
    long double sum = 0.0L;
    for (Index j = 0; j < kN; ++j) sum += std::exp(Logit(i, j) - top);
    return top + std::log(sum);
  }

  // Dots, centring and exponents of logits up to L, and the sum.
  double Bound() const {
    return kUnitRoundoff *
           (SumErrorConstant(kN) + 4.0 * DotErrorConstant(4) * rows_.logit_max);
  }

  static constexpr Index kN = 60;
  Workers workers_{2};
  ComputeContext context_{.workers = workers_};
  Matrix<double> a_;
  KernelRows rows_;
  SoftmaxRows softmax_;
};

TEST_F(SoftmaxRowsTest, LogSumsAndRowsAtAnyLogit) {
  for (const double norm : {1e-3, 1.0, 10.0, 100.0}) {
    Load(norm);
    const Matrix<double> v = test::RowsOfNorm(1, kN, 1.0, 2);
    Matrix<double> out(1, kN);
    ASSERT_TRUE(MultiplySoftmax(rows_, softmax_, v, out, context_).ok());
    for (Index i = 0; i < kN; ++i) {
      const long double log_sum = LogSum(i);
      EXPECT_NEAR(softmax_.log_sums[static_cast<std::size_t>(i)],
                  static_cast<double>(log_sum), Bound());
      long double sum = 0.0L;
      long double sizes = 0.0L;
      for (Index j = 0; j < kN; ++j) {
        const long double p = std::exp(Logit(i, j) - log_sum);
        sum += p * v(0, j);
        sizes += p * std::abs(v(0, j));
      }
      EXPECT_NEAR(out(0, i), static_cast<double>(sum),
                  Bound() * static_cast<double>(sizes));
      const double diagonal =
          static_cast<double>(std::exp(Logit(i, i) - log_sum));
      EXPECT_NEAR(SoftmaxDiagonal(rows_, softmax_, i), diagonal,
                  Bound() * diagonal);
    }
  }
}

TEST_F(SoftmaxRowsTest, RowsSumToOne) {
  Load(30.0);
  Matrix<double> ones(1, kN);
  for (Index i = 0; i < kN; ++i) ones(0, i) = 1.0;
  Matrix<double> out(1, kN);
  ASSERT_TRUE(MultiplySoftmax(rows_, softmax_, ones, out, context_).ok());
  for (Index i = 0; i < kN; ++i) EXPECT_NEAR(out(0, i), 1.0, Bound());
}

}  // namespace
}  // namespace steelyard
