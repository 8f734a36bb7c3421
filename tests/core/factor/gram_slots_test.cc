#include "factor/gram_slots.h"

#include <set>

#include "gtest/gtest.h"

namespace steelyard {
namespace {

TEST(GramCutTest, SlotsCoverEveryPanelOnce) {
  for (const Index n : {1, 255, 256, 5001, 400000}) {
    for (const Index d : {1, 20, 512, 513, 3000}) {
      const GramCut cut(n, d);
      EXPECT_EQ(cut.PanelBegin(0), 0);
      EXPECT_EQ(cut.PanelBegin(cut.slots), cut.panels);
      for (Index slot = 0; slot < cut.slots; ++slot) {
        EXPECT_LT(cut.PanelBegin(slot), cut.PanelBegin(slot + 1));
      }
      EXPECT_GE(cut.panels * cut.panel_rows, n);
      EXPECT_EQ(cut.order % kStripColumns<double>, 0);
    }
  }
}

TEST(GramCutTest, PairsAreTheUpperTriangle) {
  constexpr Index kTiles = 5;
  std::set<std::pair<Index, Index>> pairs;
  for (Index p = 0; p < kTiles * (kTiles + 1) / 2; ++p) {
    const auto pair = TilePair(p, kTiles);
    EXPECT_LE(pair.first, pair.second);
    EXPECT_LT(pair.second, kTiles);
    pairs.insert(pair);
  }
  EXPECT_EQ(pairs.size(), 15U);
}

TEST(GramSlotsTest, SumKeepsWhatTheHighPartsLose) {
  const Workers workers(2);
  const GramCut cut(400000, 9);
  ASSERT_GT(cut.slots, 4);
  CompensatedSlots slots(cut);
  for (Index slot = 0; slot < cut.slots; ++slot) {
    const SlotTile tile = TileOfSlot(cut, slot, 0, 0, slots);
    tile.hi(2, 5) = slot == 0 ? 0x1p60 : 1.0;
    tile.lo(2, 5) = 0.25;
  }
  TileOfSlot(cut, 1, 0, 0, slots).hi(2, 5) = -0x1p60;

  const auto sum = SumOfSlots(cut, slots, {workers});

  ASSERT_TRUE(sum.ok());
  const auto count = static_cast<double>(cut.slots);
  EXPECT_EQ((*sum)(2, 5), count - 2.0 + 0.25 * count);
  EXPECT_EQ((*sum)(5, 2), 0.0);
}

}  // namespace
}  // namespace steelyard
