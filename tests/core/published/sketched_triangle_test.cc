#include "published/sketched_triangle.h"

#include <cmath>

#include "gmock/gmock.h"
#include "tests/core/power/power_problems.h"
#include "tests/support/bounds.h"

namespace steelyard::test {
namespace {

using testing::HasSubstr;

absl::StatusOr<SketchedTriangle> Make(const Matrix<double>& a,
                                      const SketchPlan& plan, double ridge) {
  const ComputeContext context{OneWorker()};
  return SketchTriangle(AnyMatrixView(a.view()),
                        *ScanColumns(a.view(), "a", context), plan, ridge,
                        context);
}

// R'R = (S A)'(S A) + ridge, entry by entry.
TEST(SketchedTriangleTest, IsTheRootOfTheSketchedGram) {
  const Matrix<double> a = MatrixOfCondition(400, 5, 30.0);
  for (const double ridge : {0.0, 0.25}) {
    for (const SketchKind kind :
         {SketchKind::kSparseSign, SketchKind::kGaussian, SketchKind::kSrht}) {
      const SketchPlan plan{kind, 60, {3}};
      const auto made = Make(a, plan, ridge);
      ASSERT_TRUE(made.ok()) << made.status();
      EXPECT_EQ(made->factor.rank, 5);
      EXPECT_EQ(made->distortion, std::sqrt(5.0 / 60.0));
      const auto sketch =
          ApplySketch(plan, AnyMatrixView(a.view()),
                      made->factor.scales.exponents, {OneWorker()});
      for (Index i = 0; i < 5; ++i) {
        for (Index j = 0; j < 5; ++j) {
          double gram = ridge > 0.0 && i == j
                            ? made->ridge_diagonal[static_cast<std::size_t>(i)]
                            : 0.0;
          for (Index s = 0; s < 60; ++s)
            gram += (*sketch)(s, i) * (*sketch)(s, j);
          double root = 0.0;
          for (Index c = 0; c < 5; ++c) {
            root += made->factor.r(c, i) * made->factor.r(c, j);
          }
          EXPECT_NEAR(root, gram, HouseholderBound(5, 1.0) * 8.0);
        }
      }
    }
  }
}

TEST(SketchedTriangleTest, FewRowsAreNotSketched) {
  const Matrix<double> a = MatrixOfCondition(15, 5, 3.0);
  const auto made = Make(a, {SketchKind::kSparseSign, 12, {3}}, 0.0);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->distortion, 0.0);
  EXPECT_THAT(made->factor.description, HasSubstr("too few rows"));
}

TEST(SketchedTriangleTest, AColumnOfZerosHasTheScaleOfTheRidge) {
  Matrix<double> a = MatrixOfCondition(400, 5, 3.0);
  for (Index i = 0; i < 400; ++i) a(i, 2) = 0.0;
  const auto made = Make(a, {SketchKind::kSparseSign, 60, {3}}, 1e-40);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->factor.rank, 5);
  EXPECT_EQ(made->factor.scales.exponents[2], std::ilogb(1e-20));
  EXPECT_EQ(Make(a, {SketchKind::kSparseSign, 60, {3}}, 0.0)->factor.rank, 4);
}

}  // namespace
}  // namespace steelyard::test
