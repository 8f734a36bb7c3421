#include "sensitivity/interior_point_solver.h"

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

TEST(InteriorPointSolverTest, FindsTheBestVertex) {
  for (const Tail tail : {Tail::kNormal, Tail::kHeavy}) {
    const Matrix<double> keys = PowerKeys(30, 3, 10.0, tail, 7);
    const PreparedKeys prepared = test::Prepare(keys.view());
    const PowerCertificate certificate(prepared.white, 1.0);
    const auto wide = test::Widened(keys.view());
    const Workers workers(1);
    const ComputeContext context{workers};
    InteriorPointSolver solver(prepared.white);
    for (Index j = 0; j < 30; j += 4) {
      const auto truth =
          static_cast<double>(test::BestQuery(wide, j, 1.0).sensitivity);
      ASSERT_TRUE(solver.Start(j, prepared.white.x.row(j), context));
      double lower = 0.0;
      double upper = 1.0;
      for (int step = 0; step < 40 && upper > lower * (1.0 + 1e-7); ++step) {
        const bool moved = solver.Step(context);
        const auto witness =
            certificate.WitnessOf(solver.y().data(), solver.t().data());
        lower = std::max(
            lower, certificate.LowerEnd(
                       witness, j, solver.t()[static_cast<std::size_t>(j)]));
        upper =
            std::min(upper, certificate.UpperEnd(j, {}, solver.dual().data()));
        if (!moved) break;
      }
      EXPECT_LE(lower, truth * (1.0 + 1e-12));
      EXPECT_GE(upper, truth * (1.0 - 1e-12));
      EXPECT_LE(upper, lower * (1.0 + 1e-6)) << "key " << j;
    }
  }
}

TEST(InteriorPointSolverTest, EndsOnAStop) {
  const Matrix<double> keys = PowerKeys(30, 3, 10.0, Tail::kNormal, 7);
  const PreparedKeys prepared = test::Prepare(keys.view());
  const Workers workers(1);
  InteriorPointSolver solver(prepared.white);
  ASSERT_TRUE(
      solver.Start(0, prepared.white.x.row(0), ComputeContext{workers}));
  StopSource stop;
  stop.RequestStop(StopReason::kCancelled);
  EXPECT_FALSE(solver.Step(ComputeContext{workers, stop.token()}));
}

}  // namespace
}  // namespace steelyard
