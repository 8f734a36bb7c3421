#include "power/together.h"

#include <gtest/gtest.h>

#include <limits>
#include <utility>
#include <vector>

#include "tests/core/power/power_problems.h"

namespace steelyard::test {
namespace {

TEST(TogetherTest, ScanningTellsWhoseNumbersAreBad) {
  const Matrix<double> good = NormalMatrix(6, 2, Seed{1});
  Matrix<double> bad = good;
  bad(0, 1) = std::numeric_limits<double>::infinity();
  const std::vector<AnyMatrixView> bs = {bad.view(), good.view()};

  const std::vector<Caller> callers = ScanCallers(bs, {OneWorker()});

  ASSERT_EQ(callers.size(), 2U);
  EXPECT_EQ(callers[0].status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(callers[1].status.ok());
  EXPECT_EQ(callers[1].b.exponents.size(), 2U);
}

TEST(TogetherTest, CallersWiderThanASliceGetAllTheirColumns) {
  const auto options =
      PowerRegressionOptions{.family = PowerFamily::kGramPower, .exponent = 1};
  const Matrix<double> a = MatrixOfCondition(40, 5, 10.0);
  const Matrix<double> wide = NormalMatrix(5, 2 * SliceColumns() + 3, Seed{2});
  const Matrix<double> narrow = NormalMatrix(5, 1, Seed{3});
  const std::vector<AnyMatrixView> bs = {narrow.view(), wide.view()};
  const DenseOrCsr matrix = a.view();
  const ComputeContext context{OneWorker()};
  const auto scales = ScanMatrix(matrix, "a", context);
  const auto factor =
      MakePowerFactor(matrix, *scales, options, FactorGrade::kLadder, context);
  ASSERT_TRUE(factor.ok());
  PhaseProgress progress(context);

  const auto answers = SolveCallers(**factor, matrix, ScanCallers(bs, context),
                                    options, progress, context);

  ASSERT_EQ(answers.size(), 2U);
  ASSERT_TRUE(answers[0].ok() && answers[1].ok());
  EXPECT_EQ(answers[0]->x.cols(), 1);
  ASSERT_EQ(answers[1]->x.cols(), wide.cols());
  EXPECT_EQ(answers[1]->report.forward_error.size(),
            static_cast<std::size_t>(wide.cols()));
  for (const Index c : {Index{0}, SliceColumns(), wide.cols() - 1}) {
    const auto alone = SolvePower(a, Column(wide, c), options);
    for (Index i = 0; i < 5; ++i) {
      EXPECT_EQ(alone->x(i, 0), answers[1]->x(i, c));
    }
  }
}

TEST(TogetherTest, StoppedBeforeThereWasAnRIsZeroForWhoHasNoErrorOfHisOwn) {
  const Matrix<double> a = MatrixOfCondition(40, 5, 10.0);
  const Matrix<double> b = NormalMatrix(5, 2, Seed{1});
  const std::vector<Caller> callers = {
      {.b = {b.view(), {0, 0}}, .status = absl::OkStatus()},
      {.b = {b.view(), {}}, .status = absl::InvalidArgumentError("b")},
      {.b = {b.view(), {}}, .status = absl::AbortedError("time")}};

  const auto answers =
      StoppedCallers(a.view(), callers, {}, StopReason::kTimeLimit);

  ASSERT_TRUE(answers[0].ok() && answers[2].ok());
  EXPECT_EQ(answers[0]->report.termination, Termination::kTimeLimit);
  EXPECT_EQ(answers[2]->x.cols(), 2);
  EXPECT_EQ(answers[1].status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace steelyard::test
