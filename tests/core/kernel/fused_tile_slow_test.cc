// 2^t of the tiles for every float32 argument.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "gtest/gtest.h"
#include "kernel/fused_tile.h"
#include "tests/support/every_target.h"

namespace steelyard {
namespace {

TEST(FusedTileSlowTest, EveryFloat32PowerOfTwoIsWithinTwoUlps) {
  const auto last = std::bit_cast<std::uint32_t>(126.0F);
  constexpr std::uint32_t kBlock = 1U << 20;
  test::OnEveryTarget([&] {
    double worst = 0.0;
    std::vector<float> t(kBlock), out(kBlock);
    for (std::uint32_t first = 0; first <= last; first += kBlock) {
      for (std::uint32_t i = 0; i < kBlock; ++i) {
        t[i] = -std::bit_cast<float>(std::min(last, first + i));
      }
      FusedExp2(t.data(), kBlock, out.data());
      for (std::uint32_t i = 0; i < kBlock; ++i) {
        // 2^-29 of an ulp off at most.
        const double truth = std::exp2(static_cast<double>(t[i]));
        const double ulp = std::ldexp(1.0, std::ilogb(truth) - 23);
        worst = std::max(worst,
                         std::abs(static_cast<double>(out[i]) - truth) / ulp);
      }
    }
    RecordProperty("ulps", std::to_string(worst));
    EXPECT_LE(worst, 2.0);
  });
}

}  // namespace
}  // namespace steelyard
