#include "published/fixed_step_solver.h"

#include <cmath>

#include "published/sketched_triangle.h"
#include "tests/core/power/power_problems.h"
#include "tests/support/bounds.h"

namespace steelyard::test {
namespace {

constexpr Index kRows = 500;
constexpr Index kColumns = 6;

struct Sketched {
  Matrix<double> a;
  SketchedTriangle triangle;
  ScaledMatrix scaled;

  explicit Sketched(double cond, double ridge = 0.0)
      : a(MatrixOfCondition(kRows, kColumns, cond)),
        triangle(Make(a, ridge)),
        scaled{a.view(), triangle.factor.scales.exponents} {}

  static SketchedTriangle Make(const Matrix<double>& a, double ridge) {
    const ComputeContext context{OneWorker()};
    return *SketchTriangle(
        AnyMatrixView(a.view()), *ScanColumns(a.view(), "a", context),
        {SketchKind::kSparseSign, 12 * kColumns, {1}}, ridge, context);
  }
  FixedStepSolver Solver() const {
    return {scaled, triangle.ridge_diagonal, triangle.factor,
            triangle.distortion};
  }
  // G z by plain loops.
  std::vector<long double> Gram(const Matrix<double>& z) const {
    std::vector<long double> product(kColumns, 0.0L);
    const auto entry = [&](Index i, Index c) {
      const int e = scaled.exponents[static_cast<std::size_t>(c)];
      return std::ldexp(static_cast<long double>(a(i, c)), -e);
    };
    for (Index i = 0; i < kRows; ++i) {
      long double dot = 0.0L;
      for (Index c = 0; c < kColumns; ++c) dot += entry(i, c) * z(c, 0);
      for (Index c = 0; c < kColumns; ++c) {
        product[static_cast<std::size_t>(c)] += entry(i, c) * dot;
      }
    }
    for (std::size_t i = 0; i < triangle.ridge_diagonal.size(); ++i) {
      product[i] += triangle.ridge_diagonal[i] * z(static_cast<Index>(i), 0);
    }
    return product;
  }
};

TEST(FixedStepSolverTest, ProductsAreThoseOfAWithTheRidge) {
  const Sketched sketched(100.0, 0.5);
  const FixedStepSolver solver = sketched.Solver();
  const Matrix<double> z = NormalMatrix(kColumns, 1, Seed{2});
  const std::vector<long double> expected = sketched.Gram(z);
  Matrix<double> product = z;
  ASSERT_TRUE(solver.MultiplyGram(product, {OneWorker()}).ok());
  long double square = 0.0L;
  for (Index i = 0; i < kColumns; ++i) {
    const long double exact = expected[static_cast<std::size_t>(i)];
    square += exact * z(i, 0);
    EXPECT_NEAR(product(i, 0), static_cast<double>(exact),
                Gamma(kRows) * 8.0 * kColumns);
  }
  Matrix<double> root = z;
  ASSERT_TRUE(solver.MultiplyRoot(root, {OneWorker()}).ok());
  double length = 0.0;
  for (Index i = 0; i < kColumns; ++i) length += root(i, 0) * root(i, 0);
  EXPECT_NEAR(length, static_cast<double>(square),
              Gamma(2 * kRows) * 8.0 * kColumns);
}

TEST(FixedStepSolverTest, SolveIsRightToOnePercentForAnyCondition) {
  for (const double cond : {10.0, 1e5}) {
    const Sketched sketched(cond);
    const FixedStepSolver solver = sketched.Solver();
    const Matrix<double> z = NormalMatrix(kColumns, 1, Seed{3});
    Matrix<double> block(kColumns, 1);
    const std::vector<long double> w = sketched.Gram(z);
    for (Index i = 0; i < kColumns; ++i) {
      block(i, 0) = static_cast<double>(w[static_cast<std::size_t>(i)]);
    }
    ASSERT_TRUE(solver.Solve(block, {OneWorker()}).ok());
    // In the norm of A: |A (z~ - z)| <= 0.01 |A z| times (1 + eta) / (1 - eta),
    // which is below 2 for 12 d rows.
    Matrix<double> error(kColumns, 1);
    for (Index i = 0; i < kColumns; ++i) error(i, 0) = block(i, 0) - z(i, 0);
    Matrix<double> whole = z;
    ASSERT_TRUE(solver.MultiplyRoot(error, {OneWorker()}).ok());
    ASSERT_TRUE(solver.MultiplyRoot(whole, {OneWorker()}).ok());
    EXPECT_LE(error(0, 0), 0.02 * whole(0, 0)) << cond;
  }
}

TEST(FixedStepSolverTest, StepsThatAreTooLongAreHalved) {
  const Sketched sketched(10.0);
  // R / 4 in place of R: eigenvalues near 16, steps of some 0.6.
  Factor wrong;
  wrong.r = sketched.triangle.factor.r;
  for (Index e = 0; e < wrong.r.size(); ++e) wrong.r.data()[e] /= 4.0;
  const FixedStepSolver solver(sketched.scaled,
                               sketched.triangle.ridge_diagonal, wrong,
                               sketched.triangle.distortion);
  const Matrix<double> w = NormalMatrix(kColumns, 1, Seed{4});
  Matrix<double> z(kColumns, 1);
  const auto outcome =
      solver.Run(w, std::nullopt, {.reduction = {1e-8}}, z, {OneWorker()});
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_FALSE(outcome->limited[0]);
  EXPECT_FALSE(outcome->stalled[0]);
  const std::vector<long double> product = sketched.Gram(z);
  for (Index i = 0; i < kColumns; ++i) {
    EXPECT_NEAR(static_cast<double>(product[static_cast<std::size_t>(i)]),
                w(i, 0), 1e-6);
  }
}

}  // namespace
}  // namespace steelyard::test
