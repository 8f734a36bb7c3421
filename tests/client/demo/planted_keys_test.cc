#include "client/examples/demo/planted_keys.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "client/verify/leverage.h"

namespace steelyard::demo {
namespace {

TEST(PlantedKeysTest, ExactlyThePlantedKeysReachEpsilon) {
  for (const int64_t n : {10'000, 40'000}) {
    const PlantedKeys planted = MakePlantedKeys(n, 7);
    ASSERT_EQ(planted.positions.size(), 32u);
    const verify::LeverageReference reference(verify::HeadsOf(planted.keys)[0]);
    for (const double epsilon : {0.1, 0.2, 0.4}) {
      int64_t reach = 0;
      for (const double score : reference.scores()) {
        reach += score >= epsilon ? 1 : 0;
      }
      EXPECT_EQ(reach, PlantedAbove(epsilon)) << n << " " << epsilon;
    }
    for (std::size_t k = 24; k < 32; ++k) {
      EXPECT_LT(reference.scores()[planted.positions[k]], 0.1);
    }
  }
}

TEST(PlantedKeysTest, NumbersDependOnSeedAndCounterAlone) {
  EXPECT_EQ(NormalAt(3, 17), NormalAt(3, 17));
  EXPECT_NE(NormalAt(3, 17), NormalAt(4, 17));
  EXPECT_NE(NormalAt(3, 17), NormalAt(3, 18));
}

TEST(PlantedKeysTest, NumbersAreNormal) {
  // Mean and variance of 20,000: five standard errors; a false alarm has
  // probability below 1e-6 each.
  constexpr int kCount = 20000;
  double sum = 0.0;
  double squares = 0.0;
  for (uint64_t i = 0; i < kCount; ++i) {
    const double x = NormalAt(11, i);
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / kCount, 0.0, 5 / std::sqrt(1.0 * kCount));
  EXPECT_NEAR(squares / kCount, 1.0, 5 * std::sqrt(2.0 / kCount));
}

}  // namespace
}  // namespace steelyard::demo
