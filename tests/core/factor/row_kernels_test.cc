#include "factor/row_kernels.h"

#include <cmath>
#include <limits>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/bounds.h"
#include "tests/support/every_target.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

using test::OnEveryTarget;
using test::RoundTo;
using test::StorageRoundoff;
using test::StoredMatrix;
using test::ValueOf;

template <typename T>
class RowKernelsTest : public testing::Test {};
using Storages = testing::Types<double, float, Half, BFloat16>;
TYPED_TEST_SUITE(RowKernelsTest, Storages);

TYPED_TEST(RowKernelsTest, WideningIsExactForEveryWidth) {
  OnEveryTarget([] {
    for (Index cols = 1; cols <= 19; ++cols) {
      const auto a = test::Stored<TypeParam>(test::NormalMatrix(3, cols, {31}));
      std::vector<double> factors;
      for (Index c = 0; c < cols; ++c) {
        factors.push_back(std::ldexp(1.0, static_cast<int>(c) - 9));
      }
      // A wider place to write to; what lies beside must stay.
      Matrix<double> out(3, cols + 2);
      WidenRows(a.view().data(), cols, factors.data(),
                BlockOf(out).Part(0, 1, 3, cols));
      for (Index i = 0; i < 3; ++i) {
        EXPECT_EQ(out(i, 0), 0.0);
        EXPECT_EQ(out(i, cols + 1), 0.0);
        for (Index c = 0; c < cols; ++c) {
          EXPECT_EQ(out(i, c + 1),
                    a(i, c) * factors[static_cast<std::size_t>(c)]);
        }
      }
    }
  });
}

TYPED_TEST(RowKernelsTest, WideningKnowsSubnormalsAndSignedZeros) {
  StoredMatrix<TypeParam> a(1, 3);
  // The smallest positive number of the type, its negative, and -0.
  double least = 1.0;
  while (ValueOf(RoundTo<TypeParam>(least / 2)) > 0.0) least /= 2;
  a.Set(0, 0, least);
  a.Set(0, 1, -least);
  a.Set(0, 2, -0.0);
  OnEveryTarget([&] {
    const double ones[] = {1.0, 1.0, 1.0};
    double out[3];
    WidenRows(a.view().data(), 3, ones, Block<double>{out, 1, 3, 3});
    EXPECT_EQ(out[0], least);
    EXPECT_EQ(out[1], -least);
    EXPECT_TRUE(std::signbit(out[2]));
  });
}

TYPED_TEST(RowKernelsTest, SquaresAreAddedToWhatIsThere) {
  OnEveryTarget([] {
    for (const Index rows : {1, 3, 4, 9}) {
      const auto a =
          test::Stored<TypeParam>(test::NormalMatrix(rows, 11, {32}));
      std::vector<double> sums(11, 1.0);
      AddSquares(a.view().data(), rows, 11, sums.data());
      for (Index c = 0; c < 11; ++c) {
        double wanted = 1.0;
        for (Index i = 0; i < rows; ++i) wanted += a(i, c) * a(i, c);
        EXPECT_NEAR(sums[static_cast<std::size_t>(c)], wanted,
                    wanted * test::Gamma(2 * rows + 2));
      }
    }
  });
}

TYPED_TEST(RowKernelsTest, EveryPlaceOfANonFiniteNumberIsSeen) {
  constexpr Index kCount = 37;
  OnEveryTarget([] {
    StoredMatrix<TypeParam> a(1, kCount);
    // The largest finite numbers must pass.
    const double large = std::same_as<TypeParam, double> ? 1.7e308
                         : std::same_as<TypeParam, Half> ? 65504.0
                                                         : 3e38;
    for (Index i = 0; i < kCount; ++i) a.Set(0, i, i % 2 == 0 ? large : -large);
    EXPECT_TRUE(AllFinite(a.view().data(), kCount));
    for (const double bad : {std::numeric_limits<double>::quiet_NaN(),
                             std::numeric_limits<double>::infinity(),
                             -std::numeric_limits<double>::infinity()}) {
      for (Index i = 0; i < kCount; ++i) {
        StoredMatrix<TypeParam> b = a;
        b.Set(0, i, bad);
        EXPECT_FALSE(AllFinite(b.view().data(), kCount)) << i;
        EXPECT_TRUE(AllFinite(b.view().data(), i));
      }
    }
  });
}

TEST(CompensatedTest, SumsWhatPlainAdditionLoses) {
  OnEveryTarget([] {
    constexpr Index kCols = 13;
    Matrix<double> hi(2, kCols);
    Matrix<double> lo(2, kCols);
    Matrix<double> x(2, kCols);
    // 1, then 1000 times 2^-60: each is lost in a plain sum.
    for (int step = 0; step <= 1000; ++step) {
      for (Index i = 0; i < x.size(); ++i) {
        x.data()[i] = step == 0 ? 1.0 : 0x1p-60;
      }
      AddCompensated(BlockOf(std::as_const(x)), BlockOf(hi), BlockOf(lo));
    }
    for (Index i = 0; i < x.size(); ++i) {
      EXPECT_EQ(hi.data()[i], 1.0);
      EXPECT_EQ(lo.data()[i], 1000 * 0x1p-60);
    }
  });
}

}  // namespace
}  // namespace steelyard
