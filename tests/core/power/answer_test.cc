#include "power/answer.h"

#include <gtest/gtest.h>

#include <cmath>

namespace steelyard::test {
namespace {

Matrix<double> Pair(double first, double second) {
  Matrix<double> pair(2, 1);
  pair(0, 0) = first;
  pair(1, 0) = second;
  return pair;
}

TEST(AnswerTest, PlainNumbersWhereTheyFit) {
  Solution solution;
  EXPECT_TRUE(AssembleX(Pair(1.5, -3.0), {}, {1022, -1000}, solution));
  EXPECT_TRUE(solution.x_exponents.empty());
  EXPECT_EQ(solution.x(0, 0), 0x1.8p1022);
  EXPECT_EQ(solution.x(1, 0), -0x1.8p-999);
}

TEST(AnswerTest, OneEntryOutOfRangeBringsExponentsForAll) {
  Solution solution;
  EXPECT_TRUE(AssembleX(Pair(1.5, 0.0), {}, {5000, 0}, solution));
  ASSERT_EQ(solution.x_exponents.size(), 2u);
  EXPECT_EQ(solution.x(0, 0), 0.75);
  EXPECT_EQ(solution.x_exponents[0], 5001);
  EXPECT_EQ(solution.x(1, 0), 0.0);
  EXPECT_EQ(solution.x_exponents[1], 0);
}

TEST(AnswerTest, LowPartsMustFitToo) {
  Solution solution;
  EXPECT_TRUE(
      AssembleX(Pair(1.0, 1.0), Pair(0x1p-60, 0.0), {-1000, 0}, solution));
  ASSERT_EQ(solution.x_exponents.size(), 2u);
  EXPECT_EQ(solution.x_low(0, 0) / solution.x(0, 0), 0x1p-60);
}

TEST(AnswerTest, ExponentsBeyondIntAreToldApart) {
  Solution solution;
  EXPECT_FALSE(AssembleX(Pair(1.0, 1.0), {}, {INT64_C(-1) << 40, 0}, solution));
}

TEST(AnswerTest, ColumnsThatNoSliceMeasuredHaveABackwardErrorOfOne) {
  PowerAnswer answer(3, 3, true);
  SliceAnswer measured;
  measured.x = ScaledBlock(3, 1);
  measured.terminations = {Termination::kConverged};
  for (auto* ratios :
       {&measured.certificate.relative_residual,
        &measured.certificate.excess_residual,
        &measured.certificate.residual_floor,
        &measured.certificate.backward_error, &measured.certificate.optimality,
        &measured.certificate.forward_error,
        &measured.certificate.least_squares_backward_error}) {
    *ratios = {0.25};
  }
  answer.Add(1, {0, 0, 0}, measured);
  const Solution solution = std::move(answer).Finish(false);
  EXPECT_EQ(solution.report.least_squares_backward_error,
            std::vector<double>({1.0, 0.25, 1.0}));
}

TEST(AnswerTest, StoppedBeforeAnythingIsZeroWithResidualOne) {
  const Solution solution =
      PowerAnswer(3, 2, true).Stopped(StopReason::kDraining);
  EXPECT_EQ(solution.report.termination, Termination::kStopped);
  EXPECT_EQ(solution.x.rows(), 3);
  EXPECT_EQ(solution.x(2, 1), 0.0);
  EXPECT_EQ(solution.report.relative_residual, std::vector<double>({1.0, 1.0}));
  EXPECT_EQ(solution.report.excess_residual, std::vector<double>({1.0, 1.0}));
  EXPECT_EQ(solution.report.converged, std::vector<bool>({false, false}));
}

TEST(PowerAnswerTest, ColumnsThatFitArePutInPlace) {
  Matrix<double> x(2, 3);
  for (Index i = 0; i < x.size(); ++i) x.data()[i] = static_cast<double>(i);
  PowerAnswer answer(2, 4, false);

  EXPECT_TRUE(answer.PutColumns(1, x, {5, -3, 1000}, 0, 2));
  EXPECT_FALSE(answer.PutColumns(3, x, {5, -3, 1023}, 2, 1));   // 5 2^1023
  EXPECT_FALSE(answer.PutColumns(3, x, {5, -3, -1025}, 2, 1));  // no factor
  EXPECT_TRUE(answer.PutColumns(3, x, {5, -3, -1022}, 2, 1));

  const Solution solution = std::move(answer).Finish(false);
  EXPECT_TRUE(solution.x_exponents.empty());
  EXPECT_EQ(solution.x(1, 0), 0.0);
  EXPECT_EQ(solution.x(1, 1), 3.0 * 32.0);
  EXPECT_EQ(solution.x(1, 2), 4.0 / 8.0);
  EXPECT_EQ(solution.x(0, 3), 0x1p-1021);
}

}  // namespace
}  // namespace steelyard::test
