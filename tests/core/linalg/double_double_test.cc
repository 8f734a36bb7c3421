#include "linalg/double_double.h"

#include <gtest/gtest.h>

#include <cmath>

#include "steelyard/random.h"
#include "tests/support/matrices.h"

namespace steelyard::test {
namespace {

// Fails when the compiler contracts a * b + c or reorders sums.
TEST(DoubleDoubleTest, SumsAndProductsLoseNothing) {
  const DoubleDouble sum = TwoSum(1.0, 0x1p-80);
  EXPECT_EQ(sum.hi, 1.0);
  EXPECT_EQ(sum.lo, 0x1p-80);
  const DoubleDouble swapped = TwoSum(0x1p-80, 1.0);
  EXPECT_EQ(swapped.lo, 0x1p-80);
  // (1 + 2^-52)^2 = 1 + 2^-51 + 2^-104.
  const DoubleDouble square = TwoProduct(1.0 + 0x1p-52, 1.0 + 0x1p-52);
  EXPECT_EQ(square.hi, 1.0 + 0x1p-51);
  EXPECT_EQ(square.lo, 0x1p-104);
}

TEST(DoubleDoubleTest, AddAndMultiplyKeep104Bits) {
  const RandomStream stream{Seed{3}};
  for (std::uint64_t i = 0; i < 200; ++i) {
    const DoubleDouble a = TwoSum(stream.Normal(2 * i), 0x1p-60);
    const DoubleDouble b = TwoSum(stream.Normal(2 * i + 1), -0x1p-61);
    // (a + b) - b, in numbers of 106 bits, is a up to 2^-104 of the sums.
    const DoubleDouble back = Subtract(Add(a, b), b);
    const double size = std::abs(a.hi) + std::abs(b.hi);
    EXPECT_NEAR(Subtract(back, a).hi, 0.0, 0x1p-103 * size);
    // 3 a = a + a + a.
    const DoubleDouble triple = Multiply(3.0, a);
    EXPECT_NEAR(Subtract(triple, Add(Add(a, a), a)).hi, 0.0,
                0x1p-102 * std::abs(a.hi));
  }
}

}  // namespace
}  // namespace steelyard::test
