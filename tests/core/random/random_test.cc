#include "steelyard/random.h"

#include <cmath>

#include "gtest/gtest.h"

namespace steelyard {
namespace {

constexpr int kDraws = 100000;

TEST(RandomTest, IsAFunctionOfSeedStreamAndIndex) {
  const RandomStream a{Seed{7}, 1};
  const RandomStream b{Seed{7}, 1};
  EXPECT_EQ(a.Bits(5), b.Bits(5));
  EXPECT_NE(a.Bits(5), a.Bits(6));
  EXPECT_NE(a.Bits(5), (RandomStream{Seed{8}, 1}.Bits(5)));
  EXPECT_NE(a.Bits(5), (RandomStream{Seed{7}, 2}.Bits(5)));
}

// Means of 1e5 draws, 6 standard errors: false-alarm rate below 1e-8 each.
TEST(RandomTest, MomentsAreRight) {
  const RandomStream stream{Seed{3}, 0};
  double uniform = 0.0, sign = 0.0, normal = 0.0, square = 0.0;
  for (std::uint64_t i = 0; i < kDraws; ++i) {
    const double u = stream.Uniform(i);
    ASSERT_GT(u, 0.0);
    ASSERT_LT(u, 1.0);
    uniform += u;
    sign += stream.Sign(i);
    const double z = stream.Normal(i);
    normal += z;
    square += z * z;
  }
  const double error = 6.0 / std::sqrt(kDraws);
  EXPECT_NEAR(uniform / kDraws, 0.5, error * std::sqrt(1.0 / 12.0));
  EXPECT_NEAR(sign / kDraws, 0.0, error);
  EXPECT_NEAR(normal / kDraws, 0.0, error);
  EXPECT_NEAR(square / kDraws, 1.0, error * std::sqrt(2.0));
}

TEST(RandomStreamTest, BitPairStartsWithBits) {
  const RandomStream stream{{5}, 6};
  EXPECT_EQ(stream.BitPair(7).first, stream.Bits(7));
  EXPECT_NE(stream.BitPair(7).second, stream.Bits(7));
  EXPECT_NE(stream.BitPair(7).second, stream.BitPair(8).second);
}

}  // namespace
}  // namespace steelyard
