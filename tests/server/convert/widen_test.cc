#include "server/convert/widen.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/convert/narrow.h"

namespace steelyard::server {
namespace {

// Every number of the two types, there and back.
TEST(WidenTest, NarrowingGivesTheBitsBack) {
  for (std::uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const double number = FromFloat16Bits(half);
    if (std::isnan(number)) {
      EXPECT_EQ(half & 0x7c00, 0x7c00);
      EXPECT_NE(half & 0x03ff, 0);
    } else {
      EXPECT_EQ(ToFloat16Bits(number), half);
    }
    const double brain = FromBFloat16Bits(half);
    if (std::isnan(brain)) {
      EXPECT_EQ(half & 0x7f80, 0x7f80);
    } else {
      EXPECT_EQ(ToBFloat16Bits(brain), half);
    }
  }
}

TEST(WidenTest, KnownNumbers) {
  EXPECT_EQ(FromFloat16Bits(0x3c00), 1.0);
  EXPECT_EQ(FromFloat16Bits(0xc000), -2.0);
  EXPECT_EQ(FromFloat16Bits(0x0001), 0x1p-24);
  EXPECT_EQ(FromFloat16Bits(0x7bff), 65504.0);
  EXPECT_EQ(FromFloat16Bits(0x7c00), INFINITY);
  EXPECT_EQ(FromBFloat16Bits(0x3f80), 1.0);
  EXPECT_EQ(FromBFloat16Bits(0xc040), -3.0);
}

TEST(WidenTest, AllFourTypesRowByRow) {
  const std::vector<double> doubles = {1.0, -0.1, 3.0, 4.0};
  const std::vector<float> floats = {1.0F, -0.1F, 3.0F, 4.0F};
  const std::vector<Half> halves = {{0x3c00}, {0xc000}};
  const std::vector<BFloat16> brains = {{0x3f80}, {0xc040}};
  EXPECT_EQ(Widened(MatrixView<double>(doubles.data(), 2, 2)), doubles);
  EXPECT_THAT(Widened(MatrixView<float>(floats.data(), 4, 1)),
              testing::ElementsAre(1.0, double{-0.1F}, 3.0, 4.0));
  EXPECT_THAT(Widened(MatrixView<Half>(halves.data(), 1, 2)),
              testing::ElementsAre(1.0, -2.0));
  EXPECT_THAT(Widened(MatrixView<BFloat16>(brains.data(), 2, 1)),
              testing::ElementsAre(1.0, -3.0));
}

}  // namespace
}  // namespace steelyard::server
