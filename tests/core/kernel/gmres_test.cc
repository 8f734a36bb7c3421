#include "kernel/gmres.h"

#include <cmath>

#include "gtest/gtest.h"
#include "tests/support/kernel_cases.h"

namespace steelyard {
namespace {

constexpr Index kN = 30;

// I + 0.3 of a random matrix of norm about 2: not symmetric.
class GmresTest : public testing::Test {
 protected:
  absl::Status Apply(const Matrix<double>& v, Matrix<double>& out) const {
    for (Index i = 0; i < kN; ++i) {
      out(0, i) = v(0, i);
      for (Index j = 0; j < kN; ++j) out(0, i) += 0.3 * noise_(i, j) * v(0, j);
    }
    return absl::OkStatus();
  }

  double Residual(const Matrix<double>& x) const {
    Matrix<double> product(1, kN);
    (void)Apply(x, product);
    double sum = 0.0;
    for (Index i = 0; i < kN; ++i) {
      sum += std::pow(b_(0, i) - product(0, i), 2);
    }
    return std::sqrt(sum);
  }

  absl::StatusOr<GmresCycle> Run(double goal, int steps, Matrix<double>& x) {
    return RunGmresCycle(
        {.apply = [this](const Matrix<double>& v,
                         Matrix<double>& out) { return Apply(v, out); },
         .precondition =
             [](Matrix<double>& v) {
               for (Index i = 0; i < kN; ++i) v(0, i) *= 0.5;
               return absl::OkStatus();
             }},
        b_, goal, steps, x);
  }

  Matrix<double> noise_ = test::RowsOfNorm(kN, kN, 1.0, 1);
  Matrix<double> b_ = test::RowsOfNorm(1, kN, 1.0, 2);
};

TEST_F(GmresTest, ReachesItsGoalAndReportsTheTrueResidual) {
  Matrix<double> x(1, kN);
  const auto cycle = Run(1e-10, 100, x);
  ASSERT_TRUE(cycle.ok());
  EXPECT_LE(cycle->iterations, kN);
  EXPECT_LE(Residual(x), 2e-10);
}

TEST_F(GmresTest, EveryStepMinimisesTheResidual) {
  double before = 2.0;
  for (const int steps : {1, 2, 4, 8, 16}) {
    Matrix<double> x(1, kN);
    const auto cycle = Run(0.0, steps, x);
    ASSERT_TRUE(cycle.ok());
    EXPECT_EQ(cycle->iterations, steps);
    EXPECT_NEAR(cycle->residual, Residual(x), 1e-12);
    EXPECT_LT(cycle->residual, before);
    before = cycle->residual;
  }
}

TEST_F(GmresTest, PassesOnWhatAnOperatorReturns) {
  Matrix<double> x(1, kN);
  const auto cycle = RunGmresCycle(
      {.apply = [](const Matrix<double>&,
                   Matrix<double>&) { return absl::CancelledError("stop"); },
       .precondition = [](Matrix<double>&) { return absl::OkStatus(); }},
      b_, 0.0, 5, x);
  EXPECT_EQ(cycle.status().code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace steelyard
