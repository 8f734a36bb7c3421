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

      v1::AttendRequest attend;
      *attend.mutable_keys() = sets.keys();
      *attend.mutable_values() = sets.keys();
      *attend.mutable_queries() = sets.keys().dense();
      for (const bool set : {false, true}) {
        attend.set_sinks(1);
        if (set) attend.set_epsilon(0.1);
        const auto problem = AttendProblemFromProto(attend, nullptr, kLimits);
        ASSERT_TRUE(problem.ok()) << problem.status();
        EXPECT_LE(LeastFlops(*problem), CostOf(*problem, 2).flops);
        EXPECT_GT(LeastFlops(*problem), LeastFlopsOfBlock(*problem));
      }

      const auto least_squares = test::LeastSquaresRequest(n, d);
      const auto power = SolveProblemFromProto(least_squares, kLimits);
      ASSERT_TRUE(power.ok()) << power.status();
      EXPECT_LE(LeastFlops(*power), CostOf(*power, 2).flops);

      v1::PredictRequest predict;
      *predict.mutable_a() = sets.keys();
      *predict.mutable_x() = test::NormalTensor(n, 2);
      *predict.mutable_queries() = sets.keys();
      const auto values = PredictProblemFromProto(predict, kLimits);
      ASSERT_TRUE(values.ok()) << values.status();
      EXPECT_LE(LeastFlops(*values), CostOf(*values, kLimits, 2).flops);
      EXPECT_GT(LeastFlops(*values), 0.0);
    }
  }
}

// A few queries by |x|^3 need no set, and padding is not read.
TEST(LeastWorkTest, CountsNoRoadThatMayNotBeTaken) {
  v1::QueryHeavyRequest heavy;
  *heavy.mutable_keys() = test::UniversalSetRequest(500, 50).keys();
  *heavy.mutable_queries() = test::NormalTensor(1, 50);
  heavy.set_epsilon(0.1);
  const auto square = HeavyProblemFromProto(heavy, nullptr, kLimits);
  heavy.add_lengths(100);
  const auto shorter = HeavyProblemFromProto(heavy, nullptr, kLimits);
  heavy.mutable_function()->mutable_power()->set_p(3.0);
  const auto cubic = HeavyProblemFromProto(heavy, nullptr, kLimits);
  ASSERT_TRUE(square.ok() && shorter.ok() && cubic.ok());
  EXPECT_EQ(LeastFlops(*square), 500.0 * 50 * 50 + 50);
  EXPECT_EQ(LeastFlops(*shorter), 100.0 * 50 * 50 + 50);
  EXPECT_EQ(LeastFlops(*cubic), 100.0 * 50 + 50);
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
