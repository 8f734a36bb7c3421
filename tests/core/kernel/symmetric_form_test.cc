#include "kernel/symmetric_form.h"

#include <cmath>

#include "gtest/gtest.h"
#include "kernel/certificate.h"
#include "kernel/kernel_product.h"
#include "tests/support/kernel_cases.h"

namespace steelyard {
namespace {

class SymmetricFormTest : public testing::TestWithParam<KernelNormalization> {
 protected:
  static constexpr Index kN = 25;
  Workers workers_{2};
  ComputeContext context_{.workers = workers_};
};

// M_ij = e^{-left_i} S_ij e^{-right_j}.
TEST_P(SymmetricFormTest, IsTheMatrixInOtherUnitsWithUnitDiagonal) {
  for (const double ridge : {0.0, 1e-3, 1e5}) {
    const Matrix<double> a = test::RowsOfNorm(kN, 4, 2.0, 1);
    const auto rows = LoadKernelRows(a.view(), 1.0, GetParam(), context_);
    ASSERT_TRUE(rows.ok());
    const auto softmax = FindSoftmaxRows(*rows, context_);
    ASSERT_TRUE(softmax.ok());
    const SymmetricForm form =
        MakeSymmetricForm(*rows, GetParam(), ridge, &*softmax);
    EXPECT_FALSE(form.degenerate);
    const KernelProduct product(*rows, form.offsets, form.unit_diagonal);
    Matrix<double> e(kN, kN);
    ASSERT_TRUE(product.FillUpper(BlockOf(e), context_).ok());
    const double bound =
        kUnitRoundoff *
        (SumErrorConstant(kN) + 8.0 * DotErrorConstant(4) * rows->logit_max +
         std::log(1e5));
    for (Index i = 0; i < kN; ++i) {
      const auto at_i = static_cast<std::size_t>(i);
      for (Index j = i; j < kN; ++j) {
        const auto at_j = static_cast<std::size_t>(j);
        double s = form.weight[at_i] * e(i, j) * form.weight[at_j];
        if (i == j) s += form.shift[at_i];
        if (i == j) {
          EXPECT_NEAR(s, 1.0, bound);
        }
        double logit = 0.0;
        for (Index c = 0; c < 4; ++c) logit += a(i, c) * a(j, c);
        double m = std::exp(logit);
        if (GetParam() == KernelNormalization::kUnitDiagonal) {
          m = std::exp(logit - rows->half_square[at_i] -
                       rows->half_square[at_j]);
        }
        if (GetParam() == KernelNormalization::kSoftmaxRows) {
          m = std::exp(logit - softmax->log_sums[at_i]);
        }
        if (i == j) {
          EXPECT_NEAR(std::exp(form.log_diagonal[at_i]), m, bound * m);
          m += ridge;
        }
        const double back = std::exp(-form.log_left[at_i]) * s *
                            std::exp(-form.log_right[at_j]);
        EXPECT_NEAR(back, m, bound * m);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, SymmetricFormTest,
                         testing::Values(KernelNormalization::kNone,
                                         KernelNormalization::kUnitDiagonal,
                                         KernelNormalization::kSoftmaxRows));

TEST_F(SymmetricFormTest, SpreadIsThatOfTheRowsTheRidgeDoesNotRule) {
  Matrix<double> a(2, 1);
  a(1, 0) = 20.0;
  const auto rows =
      LoadKernelRows(a.view(), 1.0, KernelNormalization::kNone, context_);
  ASSERT_TRUE(rows.ok());
  const auto spread = [&](double ridge) {
    return MakeSymmetricForm(*rows, KernelNormalization::kNone, ridge, nullptr)
        .spread;
  };
  EXPECT_NEAR(spread(0.0), 200.0, 1e-12 * 200.0);
  // ln(D^2 + l) / 2 from ln(l) / 2 on.
  EXPECT_NEAR(spread(std::exp(100.0)), 150.0, 1e-12 * 150.0);
}

}  // namespace
}  // namespace steelyard
