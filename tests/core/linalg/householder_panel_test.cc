#include "linalg/householder_panel.h"

#include <cmath>

#include "gtest/gtest.h"
#include "tests/support/bounds.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

class HouseholderPanelTest : public testing::TestWithParam<Index> {};

TEST_P(HouseholderPanelTest, ReflectorsAreOrthogonalAndClearTheBlock) {
  const Index w = GetParam();
  constexpr Index h = 40;
  Matrix<double> r = test::NormalMatrix(w, w, {1});
  const Matrix<double> b = test::NormalMatrix(h, w, {2});
  Matrix<double> c = r;  // [R; B] once more, as columns to the right
  for (Index i = 0; i < w; ++i) {
    for (Index j = 0; j < i; ++j) c(i, j) = r(i, j) = 0.0;
  }
  Matrix<double> wt(w, h);
  for (Index i = 0; i < h; ++i) {
    for (Index j = 0; j < w; ++j) wt(j, i) = b(i, j);
  }
  Matrix<double> t(w, w);
  FactorPanel(BlockOf(r), BlockOf(wt), BlockOf(t));

  Matrix<double> below = b;
  Matrix<double> scratch(w, w);
  ApplyPanel(BlockOf(std::as_const(wt)), BlockOf(std::as_const(t)), BlockOf(c),
             BlockOf(below), BlockOf(scratch));
  // Q' applied to the same columns gives R above and 0 below. Higham, Lemma
  // 19.3: relative to the columns, whose norms stay below 2 sqrt(h + w).
  const double bound =
      2.0 * test::Gamma(w * (h + w)) * std::sqrt(static_cast<double>(h + w));
  for (Index j = 0; j < w; ++j) {
    for (Index i = 0; i <= j; ++i) EXPECT_NEAR(c(i, j), r(i, j), bound);
    for (Index i = 0; i < h; ++i) EXPECT_NEAR(below(i, j), 0.0, bound);
  }
}

INSTANTIATE_TEST_SUITE_P(Widths, HouseholderPanelTest,
                         testing::Values(1, 2, 7, 8, 9, 16, 31, 64));

TEST(HouseholderPanelZeroTest, NothingBelowMeansIdentity) {
  Matrix<double> r(2, 2);
  r(0, 0) = -3.0;
  r(0, 1) = 2.0;
  const Matrix<double> before = r;
  Matrix<double> wt(2, 5);
  Matrix<double> t(2, 2);
  FactorPanel(BlockOf(r), BlockOf(wt), BlockOf(t));
  for (Index i = 0; i < 4; ++i) {
    EXPECT_EQ(r.data()[i], before.data()[i]);
    EXPECT_EQ(t.data()[i], 0.0);
  }
}

}  // namespace
}  // namespace steelyard
