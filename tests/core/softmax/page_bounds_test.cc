#include "softmax/page_bounds.h"

#include <cmath>
#include <limits>

#include "softmax/page_kernel.h"
#include "tests/support/bounds.h"
#include "tests/support/long_double_householder.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

Index LabelAt(const SoftmaxPages& pages, Index page, Index l) {
  const Index begin = pages.begins[static_cast<std::size_t>(page)];
  return pages.labels[static_cast<std::size_t>(begin + l)];
}

SoftmaxPages PagesOf(const AnyMatrixView& keys) {
  const Workers workers(2);
  return *MakeSoftmaxPages(keys, {}, {}, {workers});
}

long double Logit(const Matrix<long double>& queries, Index i,
                  const Matrix<long double>& keys, Index j, double scale) {
  long double product = 0.0L;
  for (Index c = 0; c < keys.cols(); ++c) product += queries(i, c) * keys(j, c);
  return scale * product;
}

// LogOfClosedMass of page p alone.
double ClosedMassOf(const SoftmaxPages& pages, PageBounds bounds, Index i,
                    Index p) {
  const double about = bounds.upper(i, p);
  for (Index other = 0; other < pages.pages(); ++other) {
    if (other == p) continue;
    bounds.upper(i, other) = -std::numeric_limits<double>::infinity();
    bounds.log_mass(i, other) = -std::numeric_limits<double>::infinity();
  }
  return LogOfClosedMass(pages, bounds, i, about);
}

// Upper ends hold, log masses hold, and the logits that the kernel makes of
// `scaled` are right to their error.
void ExpectBounds(const AnyMatrixView& keys, const AnyMatrixView& queries,
                  double scale) {
  const SoftmaxPages pages = PagesOf(keys);
  const PageBounds bounds = BoundPages(
      pages, scale, {.queries = queries, .count = Rows(queries)}, {});
  const Matrix<long double> wide = test::Widened(keys);
  const Matrix<long double> wide_queries = test::Widened(queries);
  Matrix<double> logits(1, kPageKeys);
  for (Index i = 0; i < Rows(queries); ++i) {
    const double* row = bounds.scaled.row(i);
    for (Index p = 0; p < pages.pages(); ++p) {
      if (pages.wide.empty()) {
        PageLogits(&row, 1, pages.narrow.row(p), pages.columns, logits.data());
      } else {
        PageLogits(&row, 1, pages.wide.row(p), pages.columns, logits.data());
      }
      long double largest = -1e300L;
      for (Index l = 0; l < pages.Count(p); ++l) {
        const Index j = LabelAt(pages, p, l);
        const long double s = Logit(wide_queries, i, wide, j, scale);
        EXPECT_LE(s, bounds.upper(i, p));
        EXPECT_LE(std::abs(logits(0, l) - s),
                  bounds.logit_errors[static_cast<std::size_t>(i)]);
        largest = std::max(largest, s);
      }
      long double sum = 0.0L;
      for (Index l = 0; l < pages.Count(p); ++l) {
        const Index j = LabelAt(pages, p, l);
        sum += std::exp(Logit(wide_queries, i, wide, j, scale) - largest);
      }
      const auto mass = static_cast<double>(largest + std::log(sum));
      EXPECT_LE(bounds.log_mass(i, p), mass);
      EXPECT_GE(ClosedMassOf(pages, bounds, i, p), mass);
    }
  }
}

template <typename T>
class PageBoundsTest : public testing::Test {};
using StorageTypes = testing::Types<Half, BFloat16, float, double>;
TYPED_TEST_SUITE(PageBoundsTest, StorageTypes);

TYPED_TEST(PageBoundsTest, HoldForEveryStorageTypeAndBothSigns) {
  const auto keys =
      test::Stored<TypeParam>(test::NormalMatrix(200, 6, Seed{1}));
  const auto queries =
      test::Stored<TypeParam>(test::NormalMatrix(9, 6, Seed{2}));
  for (const double scale : {0.4, -0.4, 1e4}) {
    ExpectBounds(keys.view(), queries.view(), scale);
  }
}

TEST(PageBoundsEdgeTest, HoldForExtremeScales) {
  Matrix<double> keys = test::NormalMatrix(100, 3, Seed{3});
  Matrix<double> queries = test::NormalMatrix(3, 3, Seed{4});
  for (Index j = 0; j < 100; ++j) keys(j, 0) *= 1e250;
  for (Index j = 0; j < 100; ++j) keys(j, 2) *= 1e-250;
  for (Index i = 0; i < 3; ++i) queries(i, 0) *= 1e-250;
  for (Index i = 0; i < 3; ++i) queries(i, 2) *= 1e250;
  ExpectBounds(keys.view(), queries.view(), 1.0);
}

TEST(PageBoundsEdgeTest, AreTightForEqualKeys) {
  Matrix<double> keys(64, 2);
  for (Index j = 0; j < 64; ++j) keys(j, 0) = 3.0;
  Matrix<double> queries(1, 2);
  queries(0, 0) = 2.0;
  const AnyMatrixView view = queries.view();
  const PageBounds bounds =
      BoundPages(PagesOf(keys.view()), 1.0, {.queries = view, .count = 1}, {});
  EXPECT_NEAR(bounds.upper(0, 0), 6.0, 6.0 * test::Gamma(200));
  EXPECT_NEAR(bounds.log_mass(0, 1), 6.0 + std::log(32.0),
              10.0 * test::Gamma(200));
}

TEST(PageBoundsEdgeTest, WhatAQueryDoesNotSeeIsMinusInfinity) {
  const Matrix<double> keys = test::NormalMatrix(70, 2, Seed{5});
  const Matrix<double> queries = test::NormalMatrix(1, 2, Seed{6});
  const AnyMatrixView view = queries.view();
  const Workers workers(1);
  const SoftmaxPages pages =
      *MakeSoftmaxPages(keys.view(), {}, {.expected_queries = 1}, {workers});
  const std::vector<Index> positions({40});
  const PageBounds bounds = BoundPages(
      pages, 1.0, {.queries = view, .count = 1, .positions = positions}, {});
  EXPECT_TRUE(std::isfinite(bounds.log_mass(0, 0)));
  EXPECT_TRUE(std::isfinite(bounds.upper(0, 1)));
  EXPECT_TRUE(std::isinf(bounds.log_mass(0, 1)));
  EXPECT_TRUE(std::isinf(bounds.upper(0, 2)));
}

TEST(PageBoundsEdgeTest, BlocksShrinkAsPagesGrow) {
  EXPECT_EQ(QueryBlockRows(0), 64);
  EXPECT_EQ(QueryBlockRows(1), 64);
  EXPECT_EQ(QueryBlockRows(Index{1} << 17), 16);
  EXPECT_EQ(QueryBlockRows(Index{1} << 40), 8);
}

}  // namespace
}  // namespace steelyard
