#include "preconditioner/diagonal_preconditioner.h"

#include <cmath>

#include "gtest/gtest.h"
#include "tests/core/preconditioner/preconditioner_cases.h"
#include "tests/support/bounds.h"

namespace steelyard {
namespace {

class DiagonalPreconditionerTest : public testing::Test {
 protected:
  // The diagonal of P^-1.
  std::vector<double> InverseOf(const DiagonalPreconditioner& p, Index n) {
    Matrix<double> v(1, n);
    for (Index i = 0; i < n; ++i) v(0, i) = 1.0;
    EXPECT_TRUE(p.Apply(v, context_).ok());
    return {v.data(), v.data() + n};
  }

  Workers workers_{2};
  ComputeContext context_{.workers = workers_};
};

TEST_F(DiagonalPreconditionerTest, JacobiIsTheIdentity) {
  const DiagonalPreconditioner p = DiagonalPreconditioner::Jacobi();
  EXPECT_EQ(InverseOf(p, 3), (std::vector<double>{1.0, 1.0, 1.0}));
  EXPECT_EQ(p.Describe(), "Jacobi scaling");
}

// M = W^-1 S W^-1, so that W^2 stands for the identity: M_ii = 1 / W_i^2.
TEST_F(DiagonalPreconditionerTest, NoneIsTheIdentityOfTheUnscaledMatrix) {
  const Matrix<double> a = test::RowsOfNorm(20, 3, 2.0, 1);
  for (const KernelNormalization kind :
       {KernelNormalization::kNone, KernelNormalization::kUnitDiagonal,
        KernelNormalization::kSoftmaxRows}) {
    const test::LoadedKernel kernel(a, test::KernelOptionsOf(kind, 0.3),
                                    context_);
    const std::vector<double> inverse =
        InverseOf(DiagonalPreconditioner::None(kernel.problem.form()), 20);
    double least = 1e300;
    for (const double value : inverse) least = std::min(least, value);
    EXPECT_EQ(least, 1.0);
    for (std::size_t i = 0; i < 20; ++i) {
      const double own = std::exp(kernel.problem.form().log_diagonal[i]) + 0.3;
      const double first =
          std::exp(kernel.problem.form().log_diagonal[0]) + 0.3;
      EXPECT_NEAR(inverse[i] / inverse[0], own / first,
                  test::Gamma(200) * own / first);
    }
  }
}

TEST_F(DiagonalPreconditionerTest, ScalesBeyondFloat64StayFinite) {
  Matrix<double> a(3, 1);
  a(1, 0) = 3.0;
  a(2, 0) = 100.0;
  const test::LoadedKernel kernel(
      a, test::KernelOptionsOf(KernelNormalization::kNone, 0.0), context_);
  const std::vector<double> inverse =
      InverseOf(DiagonalPreconditioner::None(kernel.problem.form()), 3);
  EXPECT_EQ(inverse[0], 1.0);
  EXPECT_EQ(inverse[2], std::exp(600.0));
  EXPECT_TRUE(std::isfinite(inverse[1]));
}

}  // namespace
}  // namespace steelyard
