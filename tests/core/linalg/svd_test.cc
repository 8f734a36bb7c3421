#include "linalg/svd.h"

#include "gtest/gtest.h"
#include "tests/support/bounds.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

TEST(SvdTest, FindsValuesAndRightVectors) {
  const std::vector<double> values = {4.0, 2.0, 1.0, 1e-3, 0.0};
  const Matrix<double> a = test::MatrixWithSingularValues(5, values, {3});
  const auto svd = ComputeRightSvd(a);
  const auto alone = SingularValues(a);
  ASSERT_TRUE(svd.ok());
  ASSERT_TRUE(alone.ok());
  // Backward stable: LAPACK Users' Guide, 4.9; the product above is rounded.
  const double bound = 4.0 * test::Gamma(5 * 5 * 5);
  for (std::size_t k = 0; k < 5; ++k) {
    EXPECT_NEAR(svd->singular_values[k], values[k], bound);
    EXPECT_NEAR((*alone)[k], values[k], bound);
  }
  // |A v_k| = s_k, and rows of V' are orthonormal.
  for (Index k = 0; k < 5; ++k) {
    double square = 0.0;
    for (Index i = 0; i < 5; ++i) {
      double dot = 0.0;
      for (Index j = 0; j < 5; ++j) dot += a(i, j) * svd->v_transposed(k, j);
      square += dot * dot;
    }
    EXPECT_NEAR(std::sqrt(square), values[static_cast<std::size_t>(k)], bound);
    for (Index l = 0; l < 5; ++l) {
      double dot = 0.0;
      for (Index j = 0; j < 5; ++j) {
        dot += svd->v_transposed(k, j) * svd->v_transposed(l, j);
      }
      EXPECT_NEAR(dot, k == l ? 1.0 : 0.0, bound);
    }
  }
}

TEST(SvdTest, OneByOneAndZeros) {
  Matrix<double> one(1, 1);
  one(0, 0) = -2.5;
  EXPECT_EQ(ComputeRightSvd(one)->singular_values[0], 2.5);
  EXPECT_EQ((*SingularValues(Matrix<double>(3, 3)))[0], 0.0);
}

}  // namespace
}  // namespace steelyard
