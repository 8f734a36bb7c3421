#include "power/termination.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/bounds.h"

namespace steelyard::test {
namespace {

// j = 1: the floor is 16 phi.
Termination Of(const Measured& measured, double tolerance) {
  return TerminationOf(measured, tolerance, 1);
}

TEST(TerminationTest, UnsetToleranceIsAsGoodAsFloat64Allows) {
  EXPECT_EQ(ToleranceOf(std::nullopt, 2, 0.0), 24.0 * kUnitRoundoff);
  EXPECT_EQ(ToleranceOf(std::nullopt, 2, 1e-3), 24.0 * 1e-3);
  EXPECT_EQ(ToleranceOf(1e-5, 2, 1e-3), 1e-5);
}

TEST(TerminationTest, SmallResidualConvergesWhateverTheForwardError) {
  EXPECT_EQ(Of({.judged_residual = 1e-15, .forward_error = 1e5}, 1e-15),
            Termination::kConverged);
}

TEST(TerminationTest, ZeroRightSideConverges) {
  EXPECT_EQ(Of({.zero_right_side = true, .beyond_format = true}, 1e-10),
            Termination::kConverged);
}

TEST(TerminationTest, NoDigitIsIllConditioned) {
  const Measured measured{
      .judged_residual = 1e-3, .residual_floor = 1e-3, .forward_error = 0.1};
  EXPECT_EQ(Of(measured, 1e-8), Termination::kIllConditioned);
  EXPECT_EQ(Of({.beyond_format = true}, 1e-8), Termination::kIllConditioned);
  EXPECT_EQ(Of({.judged_residual = 1.0, .forward_error = std::nan("")}, 1e-8),
            Termination::kIllConditioned);
}

TEST(TerminationTest, FloorOnlyWhereTheFloorIs) {
  Measured measured{
      .judged_residual = 16e-9, .residual_floor = 1e-9, .forward_error = 1e-6};
  EXPECT_EQ(Of(measured, 1e-9), Termination::kPrecisionFloor);
  measured.limited = true;
  EXPECT_EQ(Of(measured, 1e-9), Termination::kIterationLimit);
  measured.limited = false;
  measured.judged_residual = 17e-9;
  EXPECT_EQ(Of(measured, 1e-9), Termination::kIterationLimit);
}

TEST(TerminationTest, StopsKeepTheirReason) {
  EXPECT_EQ(
      Of({.judged_residual = 1.0, .stopped = StopReason::kTimeLimit}, 1e-9),
      Termination::kTimeLimit);
  EXPECT_EQ(
      Of({.judged_residual = 1.0, .stopped = StopReason::kDraining}, 1e-9),
      Termination::kStopped);
  EXPECT_EQ(
      Of({.judged_residual = 0.0, .stopped = StopReason::kDraining}, 1e-9),
      Termination::kConverged);
}

TEST(TerminationTest, TheWorstCounts) {
  EXPECT_EQ(Worst({}), Termination::kConverged);
  EXPECT_EQ(Worst({Termination::kConverged, Termination::kPrecisionFloor}),
            Termination::kPrecisionFloor);
  EXPECT_EQ(Worst({Termination::kIllConditioned, Termination::kTimeLimit,
                   Termination::kConverged}),
            Termination::kIllConditioned);
}

}  // namespace
}  // namespace steelyard::test
