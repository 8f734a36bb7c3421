#include "kernel/logits.h"

#include <cmath>

#include "gtest/gtest.h"
#include "steelyard/status.h"
#include "tests/support/bounds.h"
#include "tests/support/kernel_cases.h"

namespace steelyard {
namespace {

using Norm = KernelNormalization;

class LogitsTest : public testing::Test {
 protected:
  Workers workers_{2};
  ComputeContext context_{.workers = workers_};
};

double Dot(const double* x, const double* y, Index d) {
  double sum = 0.0;
  for (Index c = 0; c < d; ++c) sum += x[c] * y[c];
  return sum;
}

TEST_F(LogitsTest, CentredPartsAddUpToTheLogits) {
  for (const double scale : {1.0, 0.3, 5e-200, 7e120}) {
    const double norm = 2.0 / std::sqrt(scale);
    const Matrix<double> a = test::RowsOfNorm(40, 5, norm, 1);
    const auto rows = LoadKernelRows(a.view(), scale, Norm::kNone, context_);
    ASSERT_TRUE(rows.ok()) << rows.status();
    EXPECT_GE(rows->scale, 1.0);
    EXPECT_LT(rows->scale, 4.0);
    for (Index i = 0; i < 40; ++i) {
      for (Index j = 0; j < 40; ++j) {
        const double logit = (scale * norm) * Dot(a.row(i), a.row(j), 5) / norm;
        const auto at_i = static_cast<std::size_t>(i);
        const auto at_j = static_cast<std::size_t>(j);
        const double parts =
            rows->scale * Dot(rows->centred.row(i), rows->centred.row(j), 5) +
            rows->centre_logit[at_i] + rows->centre_logit[at_j] +
            rows->centre_square;
        EXPECT_NEAR(parts, logit, test::Gamma(20) * rows->logit_max);
        if (i == j) {
          EXPECT_NEAR(2.0 * rows->half_square[at_i], logit,
                      test::Gamma(20) * rows->logit_max);
        }
      }
    }
  }
}

TEST_F(LogitsTest, QueriesAreMeasuredFromTheCentreOfTheKeys) {
  for (const double scale : {1.0, 5e-200, 7e120}) {
    const double norm = 2.0 / std::sqrt(scale);
    const Matrix<double> a = test::RowsOfNorm(40, 5, norm, 1);
    const Matrix<double> q = test::RowsOfNorm(9, 5, norm, 2);
    const auto keys = LoadKernelRows(a.view(), scale, Norm::kNone, context_);
    ASSERT_TRUE(keys.ok()) << keys.status();
    const QueryRows rows = LoadQueryRows(q.view(), 2, 7, *keys);
    ASSERT_EQ(rows.centred.rows(), 7);
    for (Index i = 0; i < 7; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const double* query = q.row(i + 2);
      const auto square = [&](const double* x) {
        return (scale * norm) * Dot(x, x, 5) / norm;
      };
      EXPECT_NEAR(rows.square[at], square(query),
                  test::Gamma(20) * keys->logit_max);
      EXPECT_NEAR(
          rows.centred_square[at],
          keys->scale * Dot(rows.centred.row(i), rows.centred.row(i), 5),
          test::Gamma(20) * keys->logit_max);
      for (Index j = 0; j < 40; ++j) {
        const double logit = (scale * norm) * Dot(query, a.row(j), 5) / norm;
        const double parts =
            keys->scale * Dot(rows.centred.row(i), keys->centred.row(j), 5) +
            rows.centre_logit[at] +
            keys->centre_logit[static_cast<std::size_t>(j)] +
            keys->centre_square;
        EXPECT_NEAR(parts, logit, test::Gamma(20) * 4.0 * keys->logit_max);
      }
    }
  }
}

TEST_F(LogitsTest, CentringIsDeafToOneHugeRow) {
  Matrix<double> a = test::RowsOfNorm(40, 3, 1.0, 2);
  for (Index i = 0; i < 40; ++i) a(i, 0) += 1000.0;
  a(7, 1) = 1e140;
  const auto rows =
      LoadKernelRows(a.view(), 1.0, Norm::kUnitDiagonal, context_);
  ASSERT_TRUE(rows.ok()) << rows.status();
  for (std::size_t i = 0; i < 40; ++i) {
    if (i != 7) {
      EXPECT_LT(rows->centred_square[i], 100.0);
    }
  }
}

TEST_F(LogitsTest, RefusesLogitsWithoutDigits) {
  Matrix<double> a = test::RowsOfNorm(6, 3, 1.0, 3);
  a(4, 1) = 1e5;
  for (const Norm normalization : {Norm::kNone, Norm::kSoftmaxRows}) {
    const auto refused = LoadKernelRows(a.view(), 1.0, normalization, context_);
    ASSERT_FALSE(refused.ok());
    const auto detail = DetailOf(refused.status());
    ASSERT_TRUE(detail.has_value());
    EXPECT_EQ(detail->reason, "FIELD_OUT_OF_RANGE");
    EXPECT_EQ(detail->metadata.at("row"), "4");
  }
  EXPECT_TRUE(
      LoadKernelRows(a.view(), 1.0, Norm::kUnitDiagonal, context_).ok());
  a(5, 1) = 1e5;
  EXPECT_FALSE(
      LoadKernelRows(a.view(), 1.0, Norm::kUnitDiagonal, context_).ok());
  a(5, 1) = 0.0;
  a(4, 1) = 1e200;
  EXPECT_FALSE(
      LoadKernelRows(a.view(), 1.0, Norm::kUnitDiagonal, context_).ok());
}

}  // namespace
}  // namespace steelyard
