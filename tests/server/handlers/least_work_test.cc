#include "server/handlers/least_work.h"

#include "gtest/gtest.h"
#include "tests/support_server/requests.h"

namespace steelyard::server {
namespace {

constexpr Limits kLimits;

TEST(LeastWorkTest, IsNeverMoreThanTheCost) {
  for (const Index n : {1, 7, 300}) {
    for (const Index d : {1, 16, 200}) {
      const auto sets = test::UniversalSetRequest(n, d);
      const auto set_problem = UniversalSetProblemFromProto(sets, kLimits);
      ASSERT_TRUE(set_problem.ok()) << set_problem.status();
      EXPECT_LE(LeastFlops(*set_problem), CostOf(*set_problem, 2).flops);
      EXPECT_GT(LeastFlops(*set_problem), 0.0);

      v1::QueryHeavyRequest heavy;
      *heavy.mutable_keys() = sets.keys();
      *heavy.mutable_queries() = sets.keys().dense();
      heavy.set_epsilon(0.1);
      const auto heavy_problem = HeavyProblemFromProto(heavy, nullptr, kLimits);
      ASSERT_TRUE(heavy_problem.ok()) << heavy_problem.status();
      EXPECT_LE(LeastFlops(*heavy_problem), CostOf(*heavy_problem, 2).flops);

      const auto least_squares = test::LeastSquaresRequest(n, d);
      const auto power = SolveProblemFromProto(least_squares, kLimits);
      ASSERT_TRUE(power.ok()) << power.status();
      EXPECT_LE(LeastFlops(*power), CostOf(*power, 2).flops);
    }
  }
}

TEST(LeastWorkTest, DoesNotCountIterationsThatMayNotBeNeeded) {
  v1::SolveRequest request = test::EndlessRequest(100);
  request.set_max_iterations(1);
  const auto once = SolveProblemFromProto(request, kLimits);
  request.set_max_iterations(1'000'000);
  const auto often = SolveProblemFromProto(request, kLimits);
  ASSERT_TRUE(once.ok() && often.ok());
  EXPECT_EQ(LeastFlops(*once), LeastFlops(*often));
  EXPECT_LE(LeastFlops(*once), CostOf(*once, 2).flops);
}

}  // namespace
}  // namespace steelyard::server
