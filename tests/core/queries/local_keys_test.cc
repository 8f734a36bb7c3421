#include "queries/local_keys.h"

#include "gmock/gmock.h"

namespace steelyard {
namespace {

// Union is every key of [0, n) that IsLocal names, for windows and grids that
// reach over every edge.
TEST(LocalKeysTest, UnionIsWhatIsLocal) {
  std::vector<AttendOptions> cases;
  for (const Index window : {0, 1, 7, 1000}) {
    cases.push_back({.window = window});
  }
  for (const Index radius : {0, 1, 3, 100}) {
    for (const Index first : {0, 5}) {
      cases.push_back(
          {.grid = LocalGrid{
               .height = 6, .width = 7, .radius = radius, .first = first}});
    }
  }
  for (const AttendOptions& options : cases) {
    for (const Index n : {Index{1}, Index{30}, Index{60}}) {
      const LocalKeys local(n, options);
      EXPECT_TRUE(local.any());
      for (const std::vector<Index>& positions :
           {std::vector<Index>{0}, std::vector<Index>{13, 12, 40},
            std::vector<Index>{-3, 59, 70, 1 << 30}}) {
        std::vector<Index> expected;
        for (Index key = 0; key < n; ++key) {
          for (const Index position : positions) {
            if (local.IsLocal(position, key)) {
              expected.push_back(key);
              break;
            }
          }
        }
        EXPECT_EQ(local.Union(positions), expected);
        if (positions.size() == 1) {
          EXPECT_LE(static_cast<double>(expected.size()), local.most());
        }
      }
    }
  }
}

TEST(LocalKeysTest, RadiusThreeIsTwentyFourNeighbours) {
  const LocalKeys local(
      1000, {.grid = LocalGrid{.height = 20, .width = 20, .radius = 3}});
  EXPECT_EQ(local.Union({10 * 20 + 10}).size(), 25u);
  EXPECT_EQ(local.most(), 25.0);
  EXPECT_TRUE(local.IsLocal(10 * 20 + 10, 12 * 20 + 9));
  EXPECT_FALSE(local.IsLocal(10 * 20 + 10, 12 * 20 + 8));
  // The end of a row is not beside the start of the next.
  EXPECT_FALSE(local.IsLocal(19, 20));
}

TEST(LocalKeysTest, NothingIsLocalWithoutAShape) {
  const LocalKeys local(10, {});
  EXPECT_FALSE(local.any());
  EXPECT_FALSE(local.IsLocal(3, 3));
  EXPECT_THAT(local.Union({1, 2}), testing::IsEmpty());
  EXPECT_EQ(local.most(), 0.0);
}

}  // namespace
}  // namespace steelyard
