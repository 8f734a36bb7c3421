#include "softmax/page_order.h"

#include <algorithm>
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

TEST(PageOrderTest, EveryKeyHasOnePlaceAndPagesAscend) {
  for (const Index n : {1, 31, 32, 33, 65, 500}) {
    const Matrix<double> keys = test::NormalMatrix(n, 3, Seed{3});
    const std::vector<Index> order = OrderIntoPages(BlockOf(keys), {});
    std::vector<Index> sorted = order;
    std::sort(sorted.begin(), sorted.end());
    for (Index j = 0; j < n; ++j) {
      EXPECT_EQ(sorted[static_cast<std::size_t>(j)], j);
      if (j % kPageKeys != 0) {
        EXPECT_LT(order[static_cast<std::size_t>(j - 1)],
                  order[static_cast<std::size_t>(j)]);
      }
    }
  }
}

TEST(PageOrderTest, AClusterSharesFewPages) {
  const Matrix<double> keys = Clusters();
  const std::vector<Index> order = OrderIntoPages(BlockOf(keys), {});
  // 32 pages in order of appearance: halving cuts a cluster only where it lies
  // at a median.
  int mixed = 0;
  for (std::size_t page = 0; page < 32; ++page) {
    std::set<Index> clusters;
    for (std::size_t l = 0; l < 32; ++l) {
      clusters.insert((order[page * 32 + l] * 7) % 16);
    }
    if (clusters.size() > 1) ++mixed;
  }
  EXPECT_LE(mixed, 8);
}

TEST(PageOrderTest, EqualKeysAndAStopStillGiveAnOrder) {
  const Matrix<double> equal(100, 2);
  std::vector<Index> order = OrderIntoPages(BlockOf(equal), {});
  EXPECT_EQ(std::set<Index>(order.begin(), order.end()).size(), 100u);
  StopSource source;
  source.RequestStop(StopReason::kCancelled);
  const Matrix<double> keys = Clusters();
  order = OrderIntoPages(BlockOf(keys), source.token());
  EXPECT_EQ(std::set<Index>(order.begin(), order.end()).size(), 1024u);
}

}  // namespace
}  // namespace steelyard
