#include "kernel/row_product.h"

#include <cmath>

#include "gtest/gtest.h"
#include "kernel/certificate.h"
#include "tests/support/kernel_cases.h"

namespace steelyard {
namespace {

class RowProductTest : public testing::Test {
 protected:
  RowProductTest() {
    const Matrix<double> a = test::RowsOfNorm(kN, 5, 20.0, 1);
    auto rows =
        LoadKernelRows(a.view(), 1.0, KernelNormalization::kNone, context_);
    rows_ = *std::move(rows);
    for (Index j = 0; j < kN; ++j) {
      offsets_.push_back(-0.1 * static_cast<double>(j));
    }
  }

  long double Logit(Index i, Index j) const {
    long double sum = 0.0L;
    for (Index c = 0; c < 5; ++c) {
      sum +=
          static_cast<long double>(rows_.centred(i, c)) * rows_.centred(j, c);
    }
    return sum * rows_.scale;
  }

  double LogitError() const {
    double most = 0.0;
    for (const double q : rows_.centred_square) most = std::max(most, q);
    return kUnitRoundoff *
           (SumErrorConstant(kN) + 2.0 * DotErrorConstant(5) * most);
  }

  static constexpr Index kN = 150;
  Workers workers_{2};
  ComputeContext context_{.workers = workers_};
  KernelRows rows_;
  std::vector<double> offsets_;
};

TEST_F(RowProductTest, RunningSumsOverflowAtNoLogit) {
  const Matrix<double> v = test::RowsOfNorm(2, kN, 1.0, 2);
  const auto sums = SumRows(rows_, offsets_, v, context_);
  ASSERT_TRUE(sums.ok());
  for (Index i = 0; i < kN; ++i) {
    const double top = sums->top[static_cast<std::size_t>(i)];
    for (Index c = 0; c < 2; ++c) {
      long double sum = 0.0L;
      long double sizes = 0.0L;
      for (Index j = 0; j < kN; ++j) {
        const long double term =
            std::exp(Logit(i, j) + offsets_[static_cast<std::size_t>(j)] - top);
        sum += term * v(c, j);
        sizes += term * std::abs(v(c, j));
      }
      EXPECT_NEAR(sums->sums(c, i), static_cast<double>(sum),
                  LogitError() * static_cast<double>(sizes));
    }
  }
}

TEST_F(RowProductTest, PartsAreThoseOfTheWhole) {
  const Matrix<double> v = test::RowsOfNorm(2, kN, 1.0, 2);
  const RowRange left{17, 60};
  const RowRange right{40, 90};
  const auto part = SumRows(rows_, left, right, offsets_, v, context_);
  ASSERT_TRUE(part.ok());
  ASSERT_EQ(part->sums.cols(), left.count);
  for (Index i = 0; i < left.count; ++i) {
    const double top = part->top[static_cast<std::size_t>(i)];
    for (Index c = 0; c < 2; ++c) {
      long double sum = 0.0L;
      long double sizes = 0.0L;
      for (Index j = right.first; j < right.first + right.count; ++j) {
        const long double term =
            std::exp(Logit(left.first + i, j) +
                     offsets_[static_cast<std::size_t>(j)] - top);
        sum += term * v(c, j);
        sizes += term * std::abs(v(c, j));
      }
      EXPECT_NEAR(part->sums(c, i), static_cast<double>(sum),
                  LogitError() * static_cast<double>(sizes));
    }
  }
}

TEST_F(RowProductTest, ProductHasOffsetsOfItsOwnForRowsAndColumns) {
  std::vector<double> row_offset;
  for (Index i = 0; i < kN; ++i) {
    row_offset.push_back(-2000.0 - static_cast<double>(i));
  }
  Matrix<double> ones(1, kN);
  for (Index i = 0; i < kN; ++i) ones(0, i) = 1.0;
  Matrix<double> out(1, kN);
  ASSERT_TRUE(
      MultiplyRows(rows_, row_offset, offsets_, ones, out, context_).ok());
  for (Index i = 0; i < kN; ++i) {
    long double sum = 0.0L;
    for (Index j = 0; j < kN; ++j) {
      sum += std::exp(
          std::min(0.0L, Logit(i, j) + row_offset[static_cast<std::size_t>(i)] +
                             offsets_[static_cast<std::size_t>(j)]));
    }
    EXPECT_NEAR(
        out(0, i), static_cast<double>(sum),
        (LogitError() + kUnitRoundoff * 4000.0) * static_cast<double>(sum));
  }
}

TEST_F(RowProductTest, StopsBetweenTiles) {
  StopSource source;
  source.StopAtLook(4);
  const ComputeContext context{.workers = workers_, .stop = source.token()};
  const Matrix<double> v(1, kN);
  EXPECT_EQ(SumRows(rows_, offsets_, v, context).status().code(),
            absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace steelyard
