#include "client/analyze/neighbourhood.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace steelyard::analyze {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(NeighbourhoodTest, AWindowEndsAtTheFirstAndTheLastKey) {
  EXPECT_THAT(KeysNear(Window{2}, 5, 100), ElementsAre(3, 4, 5, 6, 7));
  EXPECT_THAT(KeysNear(Window{2}, 0, 100), ElementsAre(0, 1, 2));
  EXPECT_THAT(KeysNear(Window{2}, 99, 100), ElementsAre(97, 98, 99));
  EXPECT_THAT(KeysNear(Window{0}, 7, 100), ElementsAre(7));
  // A query before the first key, as where queries outnumber keys.
  EXPECT_THAT(KeysNear(Window{2}, -10, 100), IsEmpty());
}

TEST(NeighbourhoodTest, AGridCountsManhattanDistance) {
  const PatchGrid grid{.height = 9, .width = 11, .first = 1, .radius = 3};
  for (int64_t position = 1; position <= 99; ++position) {
    std::vector<int64_t> expected;
    for (int64_t key = 1; key <= 99; ++key) {
      const int64_t rows = std::abs((key - 1) / 11 - (position - 1) / 11);
      const int64_t columns = std::abs((key - 1) % 11 - (position - 1) % 11);
      if (rows + columns <= 3) expected.push_back(key);
    }
    EXPECT_EQ(KeysNear(grid, position, 100), expected) << position;
  }
  // Radius 3 in the middle: 24 neighbours and the cell itself.
  EXPECT_EQ(KeysNear(grid, 1 + 4 * 11 + 5, 100).size(), 25u);
}

TEST(NeighbourhoodTest, OffTheGridNothingIsNear) {
  const PatchGrid grid{.height = 2, .width = 2, .first = 1, .radius = 5};
  EXPECT_THAT(KeysNear(grid, 0, 10), IsEmpty());
  EXPECT_THAT(KeysNear(grid, 5, 10), IsEmpty());
  EXPECT_THAT(KeysNear(grid, 1, 10), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(KeysNear(grid, 1, 3), ElementsAre(1, 2));
}

TEST(NeighbourhoodTest, IsToldInWords) {
  EXPECT_EQ(DescriptionOf(Window{1}), "within 1 position");
  EXPECT_EQ(DescriptionOf(Window{12}), "within 12 positions");
  EXPECT_EQ(DescriptionOf(PatchGrid{14, 14, 1, 3}),
            "within Manhattan distance 3 on a 14 x 14 grid from key 1");
}

}  // namespace
}  // namespace steelyard::analyze
