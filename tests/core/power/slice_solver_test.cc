#include "power/slice_solver.h"

#include <gtest/gtest.h>

#include "tests/core/power/level_problem.h"
#include "tests/support/bounds.h"

namespace steelyard::test {
namespace {

// Looks at which a slice may be stopped: enough to reach every loop.
std::int64_t LooksOf(const LevelProblem& example, const SliceGoal& goal) {
  StopSource source;
  const ComputeContext context{OneWorker(), source.token()};
  EXPECT_TRUE(SolveSlice(example.Problem(), goal, context).ok());
  return source.token().looks();
}

TEST(SliceSolverTest, CancelledAtEveryLook) {
  const LevelProblem example(MatrixOfCondition(40, 4, 1e3),
                             NormalMatrix(40, 1, Seed{1}), true, 2);
  for (const bool extended : {false, true}) {
    const SliceGoal goal{.extended_output = extended};
    const std::int64_t looks = LooksOf(example, goal);
    ASSERT_GT(looks, 20);
    for (std::int64_t look = 1; look <= looks; ++look) {
      StopSource source;
      source.StopAtLook(look);
      const auto answer =
          SolveSlice(example.Problem(), goal, {OneWorker(), source.token()});
      EXPECT_EQ(answer.status().code(), absl::StatusCode::kCancelled)
          << "look " << look;
    }
  }
}

TEST(SliceSolverTest, TimeLimitBeforeTheFirstPassAnswersZero) {
  const LevelProblem example(MatrixOfCondition(40, 4, 1e3),
                             NormalMatrix(40, 2, Seed{1}), true, 2);
  StopSource source;
  source.RequestStop(StopReason::kTimeLimit);
  const auto answer =
      SolveSlice(example.Problem(), {}, {OneWorker(), source.token()});
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_TRUE(answer->x.hi.empty());
  EXPECT_EQ(answer->certificate.relative_residual,
            std::vector<double>({1.0, 1.0}));
  EXPECT_EQ(answer->terminations[1], Termination::kTimeLimit);
}

// The even family can always go on with R alone.
TEST(SliceSolverTest, DrainingStillAnswersFromR) {
  const LevelProblem example(MatrixOfCondition(40, 4, 1e3),
                             NormalMatrix(4, 1, Seed{1}), false, 2);
  StopSource source;
  source.RequestStop(StopReason::kDraining);
  const auto answer =
      SolveSlice(example.Problem(), {.log2_norm = 0.0, .condition = 1e3},
                 {OneWorker(), source.token()});
  ASSERT_TRUE(answer.ok()) << answer.status();
  ASSERT_FALSE(answer->x.hi.empty());
  // One solve a level by a Gram: u kappa^2 each.
  EXPECT_LE(answer->certificate.forward_error[0], 3.0 * GramBound(40, 4, 1e3));
  EXPECT_NE(answer->terminations[0], Termination::kIllConditioned);
}

TEST(SliceSolverTest, BeyondTheFormatNothingIsCertified) {
  const LevelProblem example(MatrixOfCondition(40, 4, 1e3),
                             NormalMatrix(4, 1, Seed{1}), false, 2);
  const SliceGoal goal{.log2_norm = 0.0, .condition = 0.06 / kUnitRoundoff};
  const auto answer = SolveSlice(example.Problem(), goal, {OneWorker()});
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->terminations[0], Termination::kIllConditioned);
}

TEST(SliceSolverTest, ZeroAnswerKnowsZeroColumns) {
  const SliceAnswer answer =
      ZeroAnswer({true, false}, false, StopReason::kTimeLimit);
  EXPECT_EQ(answer.terminations[0], Termination::kConverged);
  EXPECT_EQ(answer.terminations[1], Termination::kTimeLimit);
  EXPECT_EQ(answer.certificate.relative_residual,
            std::vector<double>({0.0, 1.0}));
  EXPECT_TRUE(answer.certificate.excess_residual.empty());
}

}  // namespace
}  // namespace steelyard::test
