#include "sensitivity/newton_solver.h"

#include <cmath>

#include "gtest/gtest.h"
#include "sensitivity/certificate.h"
#include "tests/core/sensitivity/power_keys.h"
#include "tests/support/long_double_householder.h"
#include "tests/support/power_oracle.h"

namespace steelyard {
namespace {

using test::PowerKeys;
using test::PreparedKeys;
using test::Tail;

class NewtonSolverTest : public testing::TestWithParam<double> {};

TEST_P(NewtonSolverTest, QueryAndDualMeetAtTheOptimumInFewSteps) {
  const double p = GetParam();
  const Matrix<double> keys = PowerKeys(200, 3, 10.0, Tail::kNormal, 7);
  const PreparedKeys prepared = test::Prepare(keys.view());
  const PowerCertificate certificate(prepared.white, p);
  const Workers workers(1);
  const ComputeContext context{workers};
  NewtonSolver solver(prepared.white, p);
  for (const Index j : {0, 50, 199}) {
    ASSERT_TRUE(solver.Start(j, prepared.white.x.row(j), context));
    double lower = 0.0;
    double upper = 1.0;
    int steps = 0;
    for (; steps < 50 && upper > lower * (1.0 + 1e-7); ++steps) {
      const bool moved = solver.Step(context);
      const auto witness =
          certificate.WitnessOf(solver.y().data(), solver.t().data());
      lower = std::max(
          lower, certificate.LowerEnd(witness, j,
                                      solver.t()[static_cast<std::size_t>(j)]));
      upper =
          std::min(upper, certificate.UpperEnd(j, {}, solver.dual().data()));
      if (!moved) break;
    }
    EXPECT_LE(upper, lower * (1.0 + 1e-6)) << "key " << j;
    EXPECT_LE(steps, 30);
  }
}

TEST(NewtonSolverTest, AKeyOfZerosHasNoStart) {
  Matrix<double> keys = PowerKeys(20, 2, 1.0, Tail::kNormal, 8);
  keys(3, 0) = keys(3, 1) = 0.0;
  const PreparedKeys prepared = test::Prepare(keys.view());
  const Workers workers(1);
  NewtonSolver solver(prepared.white, 3.0);
  EXPECT_FALSE(
      solver.Start(3, prepared.white.x.row(3), ComputeContext{workers}));
}

INSTANTIATE_TEST_SUITE_P(Powers, NewtonSolverTest,
                         testing::Values(1.05, 1.5, 1.9, 2.1, 3.0, 4.0, 6.0,
                                         16.0, 64.0));

}  // namespace
}  // namespace steelyard
