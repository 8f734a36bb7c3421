#include "sensitivity/power_norm.h"

#include <cmath>
#include <limits>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/bounds.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(AbsPowerTest, AgreesWithPowForWholeHalfAndOtherExponents) {
  for (const double p : {1.0, 1.5, 2.0, 3.0, 3.7, 6.0, 63.5, 64.0, 1e4}) {
    for (const double a : {0.0, 1e-300, 0.3, 1.0, 1.0625}) {
      const double exact = std::pow(a, p);
      // p + 2 roundings, or one of pow.
      EXPECT_NEAR(AbsPower(p)(a), exact,
                  exact * test::Gamma(static_cast<Index>(p) + 2))
          << a << "^" << p;
    }
  }
}

TEST(PowerNormTest, IsThatOfLongDoubleAtEveryScale) {
  const Matrix<double> x = test::NormalMatrix(5000, 1, Seed{1});
  for (const double p : {1.0, 1.01, 1.5, 2.0, 4.0, 64.0, 101.0}) {
    long double sum = 0.0L;
    for (Index i = 0; i < x.size(); ++i) {
      sum += std::pow(std::abs(static_cast<long double>(x.data()[i])),
                      static_cast<long double>(p));
    }
    const auto norm =
        static_cast<double>(std::pow(sum, 1.0L / static_cast<long double>(p)));
    for (const int exponent : {-900, 0, 900}) {
      std::vector<double> scaled;
      for (Index i = 0; i < x.size(); ++i) {
        scaled.push_back(std::ldexp(x.data()[i], exponent));
      }
      const double exact = std::ldexp(norm, exponent);
      EXPECT_NEAR(PowerNorm(scaled.data(), x.size(), p), exact,
                  exact * PowerNormError(x.size()));
    }
  }
}

TEST(PowerNormTest, InfinityIsTheLargestAndZerosAreZero) {
  const std::vector<double> x = {-3.0, 1.0, 2.0};
  EXPECT_EQ(PowerNorm(x.data(), 3, kInfinity), 3.0);
  const std::vector<double> zeros(7, 0.0);
  EXPECT_EQ(PowerNorm(zeros.data(), 7, 1.5), 0.0);
  EXPECT_EQ(DualExponent(1.0), kInfinity);
  EXPECT_EQ(DualExponent(3.0), 1.5);
}

}  // namespace
}  // namespace steelyard
