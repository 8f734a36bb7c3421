#include "softmax/page_order.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "softmax/page_kernel.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

// 16 clusters of 64 keys, far apart, mixed.
Matrix<double> Clusters() {
  Matrix<double> keys = test::NormalMatrix(1024, 6, Seed{1});
  const Matrix<double> centres = test::NormalMatrix(16, 6, Seed{2});
  for (Index j = 0; j < 1024; ++j) {
    for (Index c = 0; c < 6; ++c) {
      keys(j, c) = 100.0 * centres((j * 7) % 16, c) + 0.01 * keys(j, c);
    }
  }
  return keys;
}

const Workers& TwoWorkers() {
  static const Workers workers(2);
  return workers;
}

// Every row once, pages of 1 to 32 rows in ascending order, at most `most`.
void ExpectPages(const PageOrder& pages, Index n, std::size_t most) {
  ASSERT_EQ(pages.order.size(), static_cast<std::size_t>(n));
  EXPECT_EQ(std::set<Index>(pages.order.begin(), pages.order.end()).size(),
            static_cast<std::size_t>(n));
  ASSERT_EQ(pages.begins.front(), 0);
  ASSERT_EQ(pages.begins.back(), n);
  EXPECT_LE(pages.begins.size() - 1, most);
  for (std::size_t p = 0; p + 1 < pages.begins.size(); ++p) {
    const Index count = pages.begins[p + 1] - pages.begins[p];
    ASSERT_GE(count, 1);
    ASSERT_LE(count, kPageKeys);
  }
}

void ExpectAscending(const PageOrder& pages) {
  for (std::size_t p = 0; p + 1 < pages.begins.size(); ++p) {
    EXPECT_TRUE(std::is_sorted(pages.order.begin() + pages.begins[p],
                               pages.order.begin() + pages.begins[p + 1]));
  }
}

TEST(PageOrderTest, EveryKeyHasOnePlaceAndUnstructuredPagesAreFull) {
  for (const Index n : {1, 31, 32, 33, 65, 500, 9000}) {
    const Matrix<double> keys = test::NormalMatrix(n, 3, Seed{3});
    const auto full = static_cast<std::size_t>((n + 31) / 32);
    const PageOrder pages = OrderIntoPages(BlockOf(keys), {TwoWorkers()});
    ExpectPages(pages, n, full + full / 4);
    ExpectAscending(pages);
    ExpectPages(NaturalPages(n), n, full);
    ExpectAscending(NaturalPages(n));
  }
}

TEST(PageOrderTest, AClusterSharesItsPagesWithFewOthers) {
  const Matrix<double> keys = Clusters();
  const PageOrder pages = OrderIntoPages(BlockOf(keys), {TwoWorkers()});
  ExpectPages(pages, 1024, 64);
  int mixed = 0;
  for (std::size_t p = 0; p + 1 < pages.begins.size(); ++p) {
    std::set<Index> clusters;
    for (Index i = pages.begins[p]; i < pages.begins[p + 1]; ++i) {
      clusters.insert(pages.order[static_cast<std::size_t>(i)] * 7 % 16);
    }
    if (clusters.size() > 1) ++mixed;
  }
  EXPECT_LE(mixed, 4);
}

// Each key a hundred times as long as the one before: every cut peels one off.
TEST(PageOrderTest, NoKeysMakeMoreThanTwiceAsManyPages) {
  Matrix<double> keys(2000, 2);
  for (Index j = 0; j < 2000; ++j) {
    keys(j, 0) = std::pow(100.0, static_cast<double>(j % 70));
  }
  const PageOrder pages = OrderIntoPages(BlockOf(keys), {TwoWorkers()});
  ExpectPages(pages, 2000, 126);
  ExpectAscending(pages);
}

TEST(PageOrderTest, EqualKeysAndAStopStillGiveAnOrder) {
  const Matrix<double> equal(100, 2);
  ExpectPages(OrderIntoPages(BlockOf(equal), {TwoWorkers()}), 100, 8);
  const Matrix<double> keys = test::NormalMatrix(20000, 2, Seed{4});
  for (const int look : {1, 2, 3, 5}) {
    StopSource source;
    source.StopAtLook(look);
    ExpectPages(OrderIntoPages(BlockOf(keys), {TwoWorkers(), source.token()}),
                20000, 20000);
  }
}

}  // namespace
}  // namespace steelyard
