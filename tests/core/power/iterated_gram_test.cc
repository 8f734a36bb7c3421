#include "power/iterated_gram.h"

#include <gtest/gtest.h>

#include <cmath>

#include "published/sketched_triangle.h"
#include "sparse/csr_scan.h"
#include "tests/core/power/power_problems.h"
#include "tests/core/sparse/sparse_matrix.h"
#include "tests/support/bounds.h"

namespace steelyard::test {
namespace {

// A sparse matrix, R0 of its sketch, and the R of a QR as the other way.
struct Problem {
  SparseMatrix<double> sparse;
  ScaledMatrix a;
  std::vector<double> ridge;
  Factor r0;
  Factor r;
  double distortion = 0.0;

  Problem(double cond, double l)
      : sparse(SparseOf<double>(SparseNumbers(3000, 24, 0.2, cond, Seed{1}))),
        a{AnyCsrView(sparse.view()), {}} {
    const ComputeContext context{OneWorker()};
    const auto scales = ScanColumns(sparse.view(), "a", context);
    auto made = SketchTriangle(a.view, *scales, SketchFor(a.view, {}, Seed{2}),
                               l, context);
    r0 = std::move(made->factor);
    ridge = std::move(made->ridge_diagonal);
    distortion = made->distortion;
    a.exponents = r0.scales.exponents;
    const Matrix<double> dense = sparse.Dense();
    r = *FactorMatrix(dense.view(), *scales,
                      {.method = FactorMethod::kQr, .ridge = l}, context);
  }
};

double Difference(const Matrix<double>& x, const Matrix<double>& y) {
  double square = 0.0;
  double size = 0.0;
  for (Index e = 0; e < x.size(); ++e) {
    square += std::pow(x.data()[e] - y.data()[e], 2);
    size += std::pow(y.data()[e], 2);
  }
  return std::sqrt(square / size);
}

class IteratedGramTest
    : public testing::TestWithParam<std::tuple<double, double>> {
 protected:
  IteratedGramTest()
      : problem_(std::get<0>(GetParam()), std::get<1>(GetParam())),
        solver_(problem_.a, problem_.ridge, problem_.r0),
        exact_(*GramSolver::Make(problem_.r, {OneWorker()})),
        context_{OneWorker()} {}

  Problem problem_;
  IteratedGramSolver solver_;
  GramSolver exact_;
  ComputeContext context_;
};

INSTANTIATE_TEST_SUITE_P(Conditions, IteratedGramTest,
                         testing::Combine(testing::Values(1.0, 1e4, 1e9),
                                          testing::Values(0.0, 1e-2)));

TEST_P(IteratedGramTest, ASketchWasTaken) {
  EXPECT_GT(problem_.distortion, 0.0);
  EXPECT_TRUE(solver_.reads_matrix());
  EXPECT_FALSE(solver_.truncated());
  EXPECT_EQ(solver_.rank(), 24);
}

// To 2^-34 of H's norm, which is z to (1 + eta) kappa(H)^(1/2) of that, and
// to u kappa beyond.
TEST_P(IteratedGramTest, SolvesAsTheRootOfAQrDoes) {
  const Matrix<double> w = NormalMatrix(24, 3, Seed{3});
  Matrix<double> ours = w;
  Matrix<double> theirs = w;
  ASSERT_TRUE(solver_.Solve(ours, context_).ok());
  ASSERT_TRUE(exact_.Solve(theirs, context_).ok());
  const double kappa = problem_.r.condition;
  EXPECT_LE(Difference(ours, theirs),
            100.0 * 0x1p-34 + 100.0 * 24.0 * kUnitRoundoff * kappa);
}

TEST_P(IteratedGramTest, ProductsAreThoseOfTheMatrix) {
  const Matrix<double> z = NormalMatrix(24, 3, Seed{4});
  Matrix<double> ours = z;
  Matrix<double> theirs = z;
  ASSERT_TRUE(solver_.MultiplyGram(ours, context_).ok());
  ASSERT_TRUE(exact_.MultiplyGram(theirs, context_).ok());
  EXPECT_LE(Difference(ours, theirs), Gamma(64 * 24));
  ours = z;
  theirs = z;
  ASSERT_TRUE(solver_.MultiplyRoot(ours, context_).ok());
  ASSERT_TRUE(exact_.MultiplyRoot(theirs, context_).ok());
  for (Index c = 0; c < 3; ++c) {
    double mine = 0.0;
    double other = 0.0;
    for (Index i = 0; i < 24; ++i) {
      mine += ours(i, c) * ours(i, c);
      other += theirs(i, c) * theirs(i, c);
    }
    EXPECT_NEAR(std::sqrt(mine), std::sqrt(other),
                Gamma(64 * 24) * std::sqrt(other));
  }
}

TEST_P(IteratedGramTest, ColumnsNeverMeet) {
  Matrix<double> w = NormalMatrix(24, 3, Seed{5});
  for (Index i = 0; i < 24; ++i) w(i, 1) = 0.0;
  Matrix<double> together = w;
  const Workers three(3);
  ASSERT_TRUE(solver_.Solve(together, {three}).ok());
  Matrix<double> alone = Column(w, 2);
  ASSERT_TRUE(solver_.Solve(alone, context_).ok());
  for (Index i = 0; i < 24; ++i) {
    EXPECT_EQ(together(i, 2), alone(i, 0));
    EXPECT_EQ(together(i, 1), 0.0);
  }
}

TEST_P(IteratedGramTest, StopsInsideTheIteration) {
  Matrix<double> w = NormalMatrix(24, 1, Seed{6});
  StopSource source;
  source.StopAtLook(40);
  EXPECT_EQ(solver_.Solve(w, {OneWorker(), source.token()}).code(),
            absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace steelyard::test
