#include "softmax/page_scan.h"

#include <cmath>

#include "tests/core/softmax/softmax_oracle.h"
#include "tests/support/bounds.h"
#include "tests/support/long_double_householder.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

// Keys in clusters around points of norm 6: some pages are far from any query.
Matrix<double> ClusteredKeys(Index n, Index d, Seed seed) {
  Matrix<double> keys = test::NormalMatrix(n, d, seed);
  const Matrix<double> centres =
      test::NormalMatrix(12, d, Seed{seed.value + 1});
  for (Index j = 0; j < n; ++j) {
    for (Index c = 0; c < d; ++c) {
      keys(j, c) = 4.0 * centres((j * 5) % 12, c) + 0.1 * keys(j, c);
    }
  }
  return keys;
}

std::vector<HeavyRow> Scan(const Matrix<double>& keys,
                           const Matrix<double>& queries, double scale,
                           double epsilon) {
  const Workers workers(2);
  const SoftmaxPages pages = *MakeSoftmaxPages(keys.view(), {}, {}, {workers});
  std::vector<HeavyRow> rows(static_cast<std::size_t>(queries.rows()));
  const AnyMatrixView view = queries.view();
  ScanPages(pages, scale, epsilon, {.queries = view, .count = queries.rows()},
            {}, rows.data());
  return rows;
}

// Error of a score from logits of this size, in the oracle and in exact rows:
// interval ends carry 2 (d + 16) u |q||k| + sums of (4 u)(pages + 1056).
double Slack(double largest_logit, Index d, Index n) {
  return test::Gamma(4 * (d + 16)) * largest_logit +
         test::Gamma(8 * (n + 1100));
}

TEST(PageScanTest, FindsEveryHeavyKeyAndOpensFewPages) {
  const Matrix<double> keys = ClusteredKeys(2000, 8, Seed{1});
  const Matrix<double> queries = test::NormalMatrix(64, 8, Seed{3});
  const auto scores = test::BruteForceSoftmax(test::Widened(queries.view()),
                                              test::Widened(keys.view()), 1.0);
  const auto rows = Scan(keys, queries, 1.0, 0.01);
  Index looked = 0;
  for (Index i = 0; i < 64; ++i) {
    const HeavyRow& row = rows[static_cast<std::size_t>(i)];
    test::ExpectProven(row, scores, i, 0.01, Slack(200.0, 8, 2000));
    looked += row.keys_scored;
  }
  EXPECT_LT(looked, 64 * 2000 / 3);
}

TEST(PageScanTest, UnstructuredKeysAreAllLookedAtAndExact) {
  const Matrix<double> keys = test::NormalMatrix(500, 24, Seed{4});
  const Matrix<double> queries = test::NormalMatrix(20, 24, Seed{5});
  const auto scores = test::BruteForceSoftmax(test::Widened(queries.view()),
                                              test::Widened(keys.view()), 0.2);
  const auto rows = Scan(keys, queries, 0.2, 0.004);
  for (Index i = 0; i < 20; ++i) {
    const HeavyRow& row = rows[static_cast<std::size_t>(i)];
    test::ExpectProven(row, scores, i, 0.004, Slack(50.0, 24, 500));
    EXPECT_EQ(row.keys_scored, 500);
    EXPECT_TRUE(row.scores_upper.empty());
  }
}

TEST(PageScanTest, NormalizerIsALowerEnd) {
  const Matrix<double> keys = ClusteredKeys(1000, 5, Seed{6});
  const Matrix<double> queries = test::NormalMatrix(10, 5, Seed{7});
  for (const double scale : {0.5, -0.5, 300.0}) {
    const auto rows = Scan(keys, queries, scale, 0.05);
    for (Index i = 0; i < 10; ++i) {
      long double largest = -1e300L;
      std::vector<long double> logits;
      for (Index j = 0; j < 1000; ++j) {
        long double product = 0.0L;
        for (Index c = 0; c < 5; ++c) {
          product += static_cast<long double>(queries(i, c)) * keys(j, c);
        }
        logits.push_back(scale * product);
        largest = std::max(largest, logits.back());
      }
      long double sum = 0.0L;
      for (const long double s : logits) sum += std::exp(s - largest);
      const long double log_z = largest + std::log(sum);
      const HeavyRow& row = rows[static_cast<std::size_t>(i)];
      const long double log_low =
          std::log(static_cast<long double>(row.normalizer)) +
          row.normalizer_exponent * std::log(2.0L);
      EXPECT_LE(log_low, log_z);
      EXPECT_GT(log_low, log_z - std::log(2.0L));
      EXPECT_EQ(row.normalizer_exponent != 0, std::abs(log_z) > 709.0L);
    }
  }
}

TEST(PageScanTest, HugeLogitsAndUnresolvedOnesKeepTheirPromise) {
  const Matrix<double> keys = ClusteredKeys(300, 4, Seed{8});
  const Matrix<double> queries = test::NormalMatrix(12, 4, Seed{9});
  for (const double scale : {1e4, -1e6, 1e12, 1e15, 1e40, -1e300}) {
    const auto scores = test::BruteForceSoftmax(
        test::Widened(queries.view()), test::Widened(keys.view()), scale);
    const auto rows = Scan(keys, queries, scale, 0.1);
    // Beyond 1e15 not even the oracle resolves ties; none is expected.
    for (Index i = 0; i < 12; ++i) {
      const HeavyRow& row = rows[static_cast<std::size_t>(i)];
      test::ExpectProven(row, scores, i, 0.1,
                         std::min(0.5, Slack(std::abs(scale) * 100, 4, 300)));
      EXPECT_TRUE(std::isfinite(row.normalizer));
    }
  }
}

TEST(PageScanTest, AStopEndsIt) {
  const Matrix<double> keys = ClusteredKeys(3000, 4, Seed{10});
  const Matrix<double> queries = test::NormalMatrix(8, 4, Seed{11});
  const Workers workers(1);
  const SoftmaxPages pages = *MakeSoftmaxPages(keys.view(), {}, {}, {workers});
  const AnyMatrixView view = queries.view();
  for (const int look : {1, 2, 5, 9}) {
    StopSource source;
    source.StopAtLook(look);
    const StopToken stop = source.token();
    std::vector<HeavyRow> rows(8);
    ScanPages(pages, 1.0, 0.001, {.queries = view, .count = 8}, stop,
              rows.data());
    EXPECT_TRUE(stop.stop_requested());
    EXPECT_LE(stop.looks_after_stop(), 8) << look;
  }
}

}  // namespace
}  // namespace steelyard
