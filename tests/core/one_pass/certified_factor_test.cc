#include "one_pass/certified_factor.h"

#include <cmath>
#include <limits>

#include "tests/core/one_pass/streams.h"
#include "tests/support/bounds.h"
#include "tests/support/long_double_householder.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

Triangle TriangleOf(const Matrix<double>& keys) {
  const auto scales = ScanColumns(keys.view(), "keys", test::TestContext());
  const auto factor = FactorMatrix(
      keys.view(), *scales, {.method = FactorMethod::kQr}, test::TestContext());
  Triangle triangle;
  triangle.r = factor->r;
  triangle.scales = factor->scales;
  triangle.keys = keys.rows();
  triangle.error.householder =
      HouseholderError(keys.cols(), factor->frobenius_norm);
  return triangle;
}

TEST(CertifiedFactorTest, IsTheFactorOfTheLadder) {
  for (const double cond : {1.0, 1e5, 1e10}) {
    const Matrix<double> keys = test::MatrixWithSingularValues(
        200, test::GeometricValues(7, cond), Seed{3});
    const auto scales = ScanColumns(keys.view(), "keys", test::TestContext());
    const auto ladder =
        FactorMatrix(keys.view(), *scales, {.method = FactorMethod::kQr},
                     test::TestContext());
    const auto factor = CertifiedFactor(TriangleOf(keys), FactorDetail::kAnswer,
                                        test::TestContext());
    ASSERT_TRUE(factor.ok());
    EXPECT_EQ(factor->rank, ladder->rank);
    EXPECT_EQ(factor->condition, ladder->condition);
    EXPECT_EQ(factor->inverse_frobenius_norm, ladder->inverse_frobenius_norm);
    // One QR: the same f but for its square.
    EXPECT_GE(factor->gram_error, ladder->gram_error * (1.0 - test::Gamma(16)));
    EXPECT_LE(factor->gram_error,
              ladder->gram_error *
                  (1.0 + 2.0 * ladder->gram_error + test::Gamma(16)));
  }
}

TEST(CertifiedFactorTest, TruncatesAtTheRank) {
  Matrix<double> keys = test::NormalMatrix(100, 5, Seed{4});
  for (Index i = 0; i < 100; ++i) keys(i, 4) = keys(i, 1);
  const auto factor = CertifiedFactor(TriangleOf(keys), FactorDetail::kScores,
                                      test::TestContext());
  ASSERT_TRUE(factor.ok());
  EXPECT_EQ(factor->rank, 4);
  EXPECT_EQ(factor->v_transposed.rows(), 5);
  EXPECT_LT(factor->delta, test::HouseholderBound(5, 1e4));
  EXPECT_TRUE(std::isinf(factor->gram_error));
}

// The bound of three errors at once, against matrices that have them.
TEST(GramErrorTest, BoundsTheErrorsThatItIsMadeOf) {
  const Index d = 4;
  const Matrix<double> keys = test::MatrixWithSingularValues(
      60, test::GeometricValues(d, 30.0), Seed{5});
  for (const double size : {1e-6, 1e-3}) {
    // X = sqrt(1 + size) K, Y = X + D.
    Matrix<double> disturbed = keys;
    const Matrix<double> noise = test::NormalMatrix(60, d, Seed{6});
    double householder = 0.0;
    for (Index i = 0; i < keys.size(); ++i) {
      const double disturbance = size * size * noise.data()[i];
      disturbed.data()[i] =
          std::sqrt(1.0 + size) * keys.data()[i] + disturbance;
      householder += disturbance * disturbance;
    }
    Triangle triangle = TriangleOf(disturbed);
    for (Index c = 0; c < d; ++c) {
      // Back to the scales of 1, so that D is what it was.
      const int e = triangle.scales.exponents[static_cast<std::size_t>(c)];
      for (Index i = 0; i <= c; ++i) {
        triangle.r(i, c) = std::ldexp(triangle.r(i, c), e);
      }
    }
    triangle.scales.exponents.assign(static_cast<std::size_t>(d), 0);
    triangle.error.relative = size;
    triangle.error.householder += std::sqrt(householder);
    const Matrix<double> r = triangle.r;
    const auto factor = CertifiedFactor(
        std::move(triangle), FactorDetail::kScores, test::TestContext());
    ASSERT_TRUE(factor.ok());
    const auto exact = static_cast<double>(
        test::LongDoubleGramError(keys.view(), factor->scales.exponents, r));
    // The oracle's Frobenius norm is at most sqrt(d) times the 2-norm.
    EXPECT_LE(exact, std::sqrt(static_cast<double>(d)) * factor->gram_error);
    EXPECT_GE(exact, size);
  }
  EXPECT_TRUE(std::isinf(GramErrorOf({.relative = 1.0}, 1.0)));
  EXPECT_TRUE(std::isinf(GramErrorOf({.gram = 1.0}, 2.0)));
  EXPECT_TRUE(
      std::isinf(GramErrorOf({}, std::numeric_limits<double>::infinity())));
  EXPECT_TRUE(std::isinf(RelativeOf(1.0)));
}

}  // namespace
}  // namespace steelyard
