#include "kernel/true_residual.h"

#include <cmath>

#include "gtest/gtest.h"
#include "tests/support/kernel_oracle.h"
#include "tests/support/kernel_problems.h"

namespace steelyard {
namespace {

class TrueResidualTest : public testing::Test {
 protected:
  Workers workers_{2};
  ComputeContext context_{.workers = workers_};
};

TEST_F(TrueResidualTest, AgreesWithMpfrAtAnyLogit) {
  for (const double norm : {0.1, 5.0, 100.0, 1000.0}) {
    const test::KernelSystem system{test::RowsOfNorm(15, 4, norm, 1), 1.0,
                                    KernelNormalization::kNone, 0.5};
    const Matrix<double> b = test::RowsOfNorm(15, 1, 1.0, 2);
    const KernelProblem problem =
        test::LoadProblem(system.a, b, {.ridge = 0.5}, context_);
    // Entries of x of the size that balances the rows, and one that is 0.
    ScaledVector x;
    for (Index i = 0; i < 15; ++i) {
      x.push_back(TimesExp(
          problem.b[0][static_cast<std::size_t>(i)],
          -2.0 * problem.rows().half_square[static_cast<std::size_t>(i)]));
    }
    x[6] = {};
    const auto rows =
        TrueResidual(MakeTrueMatrix(problem.rows(), problem.form(), nullptr), x,
                     problem.b[0], context_);
    ASSERT_TRUE(rows.ok());
    const Certificate certificate = Certify(*rows);
    const test::OracleResidual truth =
        test::KernelResidualMpfr(system, x, test::ColumnOf(b, 0));
    EXPECT_NEAR(certificate.omega, truth.omega, certificate.row_error);
    EXPECT_LT(certificate.row_error,
              kUnitRoundoff * (64.0 + 100.0 * problem.rows().logit_max));
    EXPECT_NEAR(certificate.relative_residual / truth.relative_residual, 1.0,
                certificate.error / truth.relative_residual + 1e-12);
  }
}

TEST_F(TrueResidualTest, TheExampleThatUnderflowFools) {
  // Rows 0 and 100 e_1: the true residual of x = (1, 0) for b = (1, 0) is
  // b_2 - x_1 = -1, which D^-1 = e^-5000 would hide.
  Matrix<double> a(2, 1);
  a(1, 0) = 100.0;
  Matrix<double> b(2, 1);
  b(0, 0) = 1.0;
  const KernelProblem problem = test::LoadProblem(a, b, {}, context_);
  const auto rows =
      TrueResidual(MakeTrueMatrix(problem.rows(), problem.form(), nullptr),
                   {MakeScaled(1.0), {}}, problem.b[0], context_);
  ASSERT_TRUE(rows.ok());
  EXPECT_NEAR(Certify(*rows).relative_residual, 1.0, 1e-11);
}

TEST_F(TrueResidualTest, EveryNormalizationHasItsMatrix) {
  for (const KernelNormalization normalization :
       {KernelNormalization::kNone, KernelNormalization::kUnitDiagonal,
        KernelNormalization::kSoftmaxRows}) {
    const test::KernelSystem system{test::RowsOfNorm(15, 4, 5.0, 1), 1.0,
                                    normalization, 0.5};
    const Matrix<double> b = test::RowsOfNorm(15, 1, 1.0, 2);
    const KernelProblem problem = test::LoadProblem(
        system.a, b, {.normalization = normalization, .ridge = 0.5}, context_);
    const TrueMatrix matrix = MakeTrueMatrix(
        problem.rows(), problem.form(),
        problem.softmax().has_value() ? &*problem.softmax() : nullptr);
    const ScaledVector& x = problem.b[0];
    const auto rows = TrueResidual(matrix, x, problem.b[0], context_);
    ASSERT_TRUE(rows.ok());
    const Certificate certificate = Certify(*rows);
    const test::OracleResidual truth =
        test::KernelResidualMpfr(system, x, test::ColumnOf(b, 0));
    EXPECT_NEAR(certificate.omega, truth.omega, certificate.row_error);
    EXPECT_LT(certificate.row_error,
              kUnitRoundoff * (64.0 + 200.0 * problem.rows().logit_max));
    // Products of parts add up to b less the residual.
    for (const RowRange left : {RowRange{0, 6}, RowRange{6, 9}}) {
      const auto first = TrueProduct(matrix, left, {0, 5}, x, context_);
      const auto second = TrueProduct(matrix, left, {5, 10}, x, context_);
      ASSERT_TRUE(first.ok() && second.ok());
      for (Index i = 0; i < left.count; ++i) {
        const auto at = static_cast<std::size_t>(i);
        const auto row = static_cast<std::size_t>(left.first + i);
        const ScaledNumber gap =
            Subtract(Add((*first)[at], (*second)[at]),
                     Subtract(problem.b[0][row], rows->residual[row]));
        EXPECT_LE(LogOf(gap), LogOf(Times(rows->error[row], 2.0)));
      }
    }
  }
}

TEST_F(TrueResidualTest, SoftmaxRowsToo) {
  for (const double norm : {0.1, 5.0, 60.0}) {
    const test::KernelSystem system{test::RowsOfNorm(20, 4, norm, 3), 1.0,
                                    KernelNormalization::kSoftmaxRows, 0.5};
    const Matrix<double> b = test::RowsOfNorm(20, 1, 1.0, 4);
    const KernelProblem problem = test::LoadProblem(
        system.a, b,
        {.normalization = KernelNormalization::kSoftmaxRows, .ridge = 0.5},
        context_);
    const Matrix<double> x = test::RowsOfNorm(1, 20, 1.0, 5);
    Matrix<double> rhs(1, 20);
    ScaledVector scaled;
    for (Index i = 0; i < 20; ++i) {
      rhs(0, i) = b(i, 0);
      scaled.push_back(MakeScaled(x(0, i)));
    }
    const auto rows = SoftmaxResidual(problem.rows(), *problem.softmax(),
                                      problem.form().ridges, x, rhs, context_);
    ASSERT_TRUE(rows.ok());
    const Certificate certificate = Certify(*rows);
    const test::OracleResidual truth =
        test::KernelResidual(system, scaled, test::ColumnOf(b, 0));
    EXPECT_NEAR(certificate.relative_residual, truth.relative_residual,
                certificate.error);
    EXPECT_NEAR(certificate.omega, truth.omega, certificate.row_error);
  }
}

}  // namespace
}  // namespace steelyard
