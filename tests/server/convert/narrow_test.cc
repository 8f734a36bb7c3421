#include "server/convert/narrow.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "gtest/gtest.h"

namespace steelyard::server {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// The number that the bits of a format stand for, by its definition.
double Value(std::uint32_t bits, int mantissa_bits, int exponent_min) {
  const std::uint32_t mantissa = bits & ((1u << mantissa_bits) - 1u);
  const int exponent = static_cast<int>(bits >> mantissa_bits);
  if (exponent == 0) {
    return std::ldexp(mantissa, exponent_min - mantissa_bits);
  }
  return std::ldexp(mantissa + std::ldexp(1.0, mantissa_bits),
                    exponent - 1 + exponent_min - mantissa_bits);
}

// For every finite number of a 16-bit format: it stays itself, the middle
// between it and the next goes to the even one, and what is nearer goes there.
template <typename Narrow>
void CheckEveryBoundary(const Narrow& narrow, int mantissa_bits,
                        int exponent_min, std::uint32_t infinity) {
  for (std::uint32_t bits = 0; bits < infinity; ++bits) {
    const double number = Value(bits, mantissa_bits, exponent_min);
    // Beyond the last one: where it would be if exponents went on.
    const double next = Value(bits + 1, mantissa_bits, exponent_min);
    const double middle = number + (next - number) / 2.0;
    const std::uint32_t even = bits % 2 == 0 ? bits : bits + 1;
    ASSERT_EQ(narrow(number), bits) << number;
    ASSERT_EQ(narrow(middle), even) << number;
    ASSERT_EQ(narrow(std::nextafter(middle, 0.0)), bits) << number;
    ASSERT_EQ(narrow(std::nextafter(middle, kInf)), bits + 1) << number;
    ASSERT_EQ(narrow(-number), bits | 0x8000u) << number;
    ASSERT_EQ(narrow(-middle), even | 0x8000u) << number;
  }
}

TEST(NarrowTest, EveryFloat16AndTheMiddleToTheNext) {
  CheckEveryBoundary(ToFloat16Bits, 10, -14, 0x7c00);
}

TEST(NarrowTest, EveryBFloat16AndTheMiddleToTheNext) {
  CheckEveryBoundary(ToBFloat16Bits, 7, -126, 0x7f80);
}

TEST(NarrowTest, KnownNumbers) {
  EXPECT_EQ(ToFloat16Bits(1.0), 0x3c00);
  EXPECT_EQ(ToFloat16Bits(65504.0), 0x7bff);
  EXPECT_EQ(ToFloat16Bits(65519.999), 0x7bff);
  EXPECT_EQ(ToFloat16Bits(65520.0), 0x7c00);
  EXPECT_EQ(ToFloat16Bits(-1e300), 0xfc00);
  EXPECT_EQ(ToFloat16Bits(0x1p-24), 0x0001);
  EXPECT_EQ(ToFloat16Bits(0x1p-25), 0x0000);
  EXPECT_EQ(ToFloat16Bits(0x1.000002p-25), 0x0001);
  EXPECT_EQ(ToBFloat16Bits(1.0), 0x3f80);
  EXPECT_EQ(ToBFloat16Bits(0x1.fep127), 0x7f7f);
  EXPECT_EQ(ToBFloat16Bits(0x1.ffp127), 0x7f80);
  EXPECT_EQ(ToFloat16Bits(kInf), 0x7c00);
  EXPECT_EQ(ToBFloat16Bits(-kInf), 0xff80);
  EXPECT_EQ(ToFloat16Bits(kNaN) & 0x7fff, 0x7e00);
  EXPECT_EQ(ToBFloat16Bits(kNaN) & 0x7fff, 0x7fc0);
}

// One rounding, not two: through float32 this number would be rounded up to the
// middle and then to even.
TEST(NarrowTest, IsRoundedOnce) {
  const double number = 1.0 + 0x1p-11 + 0x1p-40;
  EXPECT_EQ(ToFloat16Bits(number), 0x3c01);
  EXPECT_EQ(ToFloat16Bits(static_cast<double>(static_cast<float>(number))),
            0x3c00);
}

// The processor's conversion is another implementation of the same rule.
TEST(NarrowTest, Float32IsThatOfTheProcessor) {
  const auto processor = [](double number) {
    const auto narrowed = static_cast<float>(number);
    std::uint32_t bits = 0;
    std::memcpy(&bits, &narrowed, sizeof(bits));
    return bits;
  };
  for (int exponent = -160; exponent <= 127; ++exponent) {
    for (int i = 0; i < 200; ++i) {
      const double mantissa = 1.0 + std::fmod(i * 0.6180339887498949, 1.0);
      for (const double number :
           {std::ldexp(mantissa, exponent), -std::ldexp(mantissa, exponent),
            std::ldexp(1.0 + i * 0x1p-24, exponent),
            std::ldexp(2.0 - i * 0x1p-24, exponent)}) {
        if (std::abs(number) >= 0x1.ffffffp127) continue;  // infinity: below
        ASSERT_EQ(ToFloat32Bits(number), processor(number)) << number;
      }
    }
  }
  EXPECT_EQ(ToFloat32Bits(0x1.fffffefffffffp127), 0x7f7fffffu);
  EXPECT_EQ(ToFloat32Bits(0x1.ffffffp127), 0x7f800000u);
  EXPECT_EQ(ToFloat32Bits(-1e300), 0xff800000u);
  EXPECT_EQ(ToFloat32Bits(0.0), 0u);
  EXPECT_EQ(ToFloat32Bits(-0.0), 0x80000000u);
}

TEST(NarrowTest, NumbersAreAppendedAsTheirTypeStoresThem) {
  const double numbers[] = {1.0, -2.0};
  const auto bytes = [&](StorageType type) {
    std::string text = "x";
    AppendAs(type, numbers, &text);
    return text;
  };
  EXPECT_EQ(bytes(StorageType::kFloat16), std::string("x\x00\x3c\x00\xc0", 5));
  EXPECT_EQ(bytes(StorageType::kBFloat16), std::string("x\x80\x3f\x00\xc0", 5));
  EXPECT_EQ(bytes(StorageType::kFloat32),
            std::string("x\x00\x00\x80\x3f\x00\x00\x00\xc0", 9));
  EXPECT_EQ(bytes(StorageType::kFloat64).size(), 17u);
  EXPECT_EQ(bytes(StorageType::kFloat64).substr(1),
            std::string(reinterpret_cast<const char*>(numbers), 16));
}

}  // namespace
}  // namespace steelyard::server
