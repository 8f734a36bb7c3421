// The oracles themselves, against what is known without them.
#include <cmath>

#include "gtest/gtest.h"
#include "tests/support/bounds.h"
#include "tests/support/long_double_householder.h"
#include "tests/support/matrices.h"

namespace steelyard::test {
namespace {

template <typename T>
class StorageTest : public testing::Test {};
using Storages = testing::Types<double, float, Half, BFloat16>;
TYPED_TEST_SUITE(StorageTest, Storages);

TYPED_TEST(StorageTest, RoundingIsToTheNearest) {
  for (const double x : {1.0, -1.5, 0.1, 3.14159, 1000.25}) {
    EXPECT_NEAR(ValueOf(RoundTo<TypeParam>(x)), x,
                std::abs(x) * StorageRoundoff<TypeParam>());
  }
  EXPECT_EQ(ValueOf(RoundTo<TypeParam>(0.375)), 0.375);
}

TYPED_TEST(StorageTest, LeveragesOfTheOracleSumToTheRank) {
  const auto keys = KeysWithSpectrum<TypeParam>(
      {.rows = 60, .columns = 7, .cond = 100.0, .seed = {4}});
  const auto leverages = LongDoubleLeverages(keys.view());
  long double sum = 0.0L;
  for (const long double tau : leverages) {
    EXPECT_GE(tau, 0.0L);
    sum += tau;
  }
  EXPECT_NEAR(static_cast<double>(sum - 7.0L), 0.0, 7 * OracleBound(7, 100.0));
}

TEST(OracleTest, SingularValuesAreThoseThatWerePutIn) {
  for (const double cond : {1.0, 1e3, 1e9}) {
    const auto a = KeysWithSpectrum<double>(
        {.rows = 40, .columns = 6, .cond = cond, .seed = {9}});
    const auto found = LongDoubleSingularValues(a.view());
    const auto wanted = GeometricValues(6, cond);
    for (std::size_t i = 0; i < 6; ++i) {
      // Weyl: the rounding of the product U S V' moves them by its norm.
      EXPECT_NEAR(static_cast<double>(found[i]), wanted[i],
                  Gamma(40) * std::sqrt(40.0 * 6.0));
    }
  }
}

TEST(OracleTest, FactorOfTheOracleHasNoGramError) {
  const auto a = KeysWithSpectrum<double>(
      {.rows = 30, .columns = 1, .cond = 1.0, .seed = {2}});
  Matrix<double> r(1, 1);
  long double square = 0.0L;
  for (Index i = 0; i < 30; ++i) {
    square += static_cast<long double>(a(i, 0)) * a(i, 0);
  }
  r(0, 0) = 2.0 * static_cast<double>(std::sqrt(square));
  // R is twice too long: M = 1/2, M'M - I = -3/4.
  EXPECT_NEAR(static_cast<double>(LongDoubleGramError(a.view(), {0}, r)), 0.75,
              Gamma(4));
}

TEST(OracleTest, OrthogonalMatricesAre) {
  const Matrix<double> q = RandomOrthogonal(50, 8, {1});
  for (Index j = 0; j < 8; ++j) {
    for (Index k = 0; k < 8; ++k) {
      double dot = 0.0;
      for (Index i = 0; i < 50; ++i) dot += q(i, j) * q(i, k);
      EXPECT_NEAR(dot, j == k ? 1.0 : 0.0, 2.0 * Gamma(50));
    }
  }
}

}  // namespace
}  // namespace steelyard::test
