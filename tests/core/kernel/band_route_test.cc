#include "kernel/band_route.h"

#include <cmath>

#include "gtest/gtest.h"
#include "tests/support/kernel_oracle.h"
#include "tests/support/kernel_problems.h"

namespace steelyard {
namespace {

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

class BandRouteTest : public testing::Test {
 protected:
  // Rows of lengths 1e-3 to `longest`, one of them zero.
  static Matrix<double> RowsOfAllLengths(Index n, double longest = 100.0) {
    Matrix<double> a = test::RowsOfNorm(n, 6, 1.0, 1);
    for (Index i = 0; i < n; ++i) {
      const double length =
          1e-3 * std::pow(1e3 * longest, static_cast<double>(i * 7 % n) /
                                             static_cast<double>(n - 1));
      for (Index c = 0; c < 6; ++c) a(i, c) *= i == 3 ? 0.0 : length;
    }
    return a;
  }

  absl::StatusOr<RouteAnswer> Solve(const KernelProblem& problem,
                                    const BandLimits& limits) {
    const auto bands = BandSweeps::Make(
        problem.rows(), problem.form(),
        problem.softmax().has_value() ? &*problem.softmax() : nullptr,
        problem.options, limits, context_);
    if (!bands.ok()) return bands.status();
    return SolveByBands(problem, **bands, context_);
  }

  // The answer is right as far as it says, and every row of it is.
  static void ExpectTheSolution(const test::KernelSystem& system,
                                const std::vector<double>& b,
                                const ColumnAnswer& column) {
    const double logit = test::LargestLogit(system);
    const ScaledVector truth =
        test::SolveKernelMpfr(system, b, static_cast<int>(4.0 * logit) + 256);
    ScaledVector gap = column.x;
    for (std::size_t i = 0; i < gap.size(); ++i) {
      gap[i] = Subtract(gap[i], truth[i]);
    }
    EXPECT_LE(RatioOf(NormOf(gap), NormOf(truth)), column.forward_error);
    EXPECT_LT(column.forward_error, 1e-6);
    // The goal, or N3: the floor of omega.
    const bool converged = column.termination == Termination::kConverged;
    EXPECT_LE(column.certificate.omega,
              converged ? 1e-8 : 8.0 * kUnitRoundoff * logit);
    const test::OracleResidual residual =
        test::KernelResidualMpfr(system, column.x, b);
    EXPECT_NEAR(column.certificate.omega, residual.omega,
                column.certificate.row_error);
    if (converged) {
      EXPECT_LE(residual.relative_residual, 1e-8);
    }
  }

  Workers workers_{2};
  ComputeContext context_{.workers = workers_};
};

TEST_F(BandRouteTest, LogitsToTenThousandAgreeWithMpfr) {
  const test::KernelSystem system{RowsOfAllLengths(18), 1.0,
                                  KernelNormalization::kNone, 0.01};
  Matrix<double> b = test::RowsOfNorm(18, 1, 1.0, 2);
  for (Index i = 0; i < 18; i += 3) b(i, 0) *= 1e-40;
  b(5, 0) = 0.0;
  const KernelProblem problem =
      test::LoadProblem(system.a, b, {.ridge = 0.01}, context_);
  ASSERT_GT(problem.form().spread, 3000.0);
  const auto answer = Solve(problem, {.dense_rows = 5});
  ASSERT_TRUE(answer.ok()) << answer.status();
  SCOPED_TRACE(answer->method);
  EXPECT_EQ(answer->columns[0].termination, Termination::kPrecisionFloor);
  ExpectTheSolution(system, test::ColumnOf(b, 0), answer->columns[0]);
}

TEST_F(BandRouteTest, OneHugeRowConverges) {
  Matrix<double> a = test::RowsOfNorm(40, 4, 1.0, 1);
  for (Index c = 0; c < 4; ++c) a(11, c) = 0.0;
  a(11, 2) = 12.0;
  const Matrix<double> b = test::RowsOfNorm(40, 1, 1.0, 2);
  const KernelProblem problem =
      test::LoadProblem(a, b, {.ridge = 1.0, .tolerance = 1e-8}, context_);
  ASSERT_GT(problem.form().spread, kCommonScaleSpreadMax);
  const auto answer = Solve(problem, {.dense_rows = 8});
  ASSERT_TRUE(answer.ok()) << answer.status();
  ExpectTheSolution({a, 1.0, KernelNormalization::kNone, 1.0},
                    test::ColumnOf(b, 0), answer->columns[0]);
}

TEST_F(BandRouteTest, NearRowsOfUnlikeScaleTakeTheOtherSteps) {
  // About one far point: what is near in G is e^80 apart in scale.
  Matrix<double> a = test::RowsOfNorm(60, 3, 2.0, 1);
  for (Index i = 0; i < 60; ++i) a(i, 0) += 25.0;
  const Matrix<double> b = test::RowsOfNorm(60, 1, 1.0, 2);
  const KernelProblem problem =
      test::LoadProblem(a, b, {.ridge = 0.01}, context_);
  const auto answer = Solve(problem, {.dense_rows = 4});
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_NE(answer->method.find("conjugate gradients on all rows"),
            std::string::npos)
      << answer->method;
  ExpectTheSolution({a, 1.0, KernelNormalization::kNone, 0.01},
                    test::ColumnOf(b, 0), answer->columns[0]);
}

TEST_F(BandRouteTest, SoftmaxRowsConverge) {
  const test::KernelSystem system{RowsOfAllLengths(24, 30.0), 1.0,
                                  KernelNormalization::kSoftmaxRows, 0.1};
  const Matrix<double> b = test::RowsOfNorm(24, 1, 1.0, 3);
  const KernelProblem problem = test::LoadProblem(
      system.a, b,
      {.normalization = KernelNormalization::kSoftmaxRows, .ridge = 0.1},
      context_);
  const auto answer = Solve(problem, {.dense_rows = 5});
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->columns[0].termination, Termination::kConverged);
  ExpectTheSolution(system, test::ColumnOf(b, 0), answer->columns[0]);
}

TEST_F(BandRouteTest, RidgesOfUnlikeScaleOnAUnitDiagonal) {
  test::KernelSystem system{test::RowsOfNorm(30, 4, 2.0, 1), 1.0,
                            KernelNormalization::kUnitDiagonal, 0.1,
                            std::vector<double>(30, 0.0)};
  for (Index i = 0; i < 30; i += 2) system.row_ridge[At(i)] = 1e40;
  const Matrix<double> b = test::RowsOfNorm(30, 1, 1.0, 3);
  const KernelProblem problem =
      test::LoadProblem(system.a, b,
                        {.normalization = KernelNormalization::kUnitDiagonal,
                         .ridge = 0.1,
                         .row_ridge = system.row_ridge},
                        context_);
  ASSERT_GT(problem.form().spread, kCommonScaleSpreadMax);
  const auto answer = Solve(problem, {.dense_rows = 8});
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->columns[0].termination, Termination::kConverged);
  ExpectTheSolution(system, test::ColumnOf(b, 0), answer->columns[0]);
}

TEST_F(BandRouteTest, DoubledRowsWithoutARidgeAreNotConverged) {
  Matrix<double> a = RowsOfAllLengths(24);
  test::CopyRow(a, 5, 9);
  test::CopyRow(a, 13, 20);
  const Matrix<double> b = test::RowsOfNorm(24, 1, 1.0, 2);
  const KernelProblem problem = test::LoadProblem(a, b, {}, context_);
  const auto answer = Solve(problem, {.dense_rows = 8});
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_NE(answer->columns[0].termination, Termination::kConverged);
  EXPECT_EQ(answer->columns[0].forward_error, 1.0);
}

TEST_F(BandRouteTest, BitsDoNotDependOnTheWorkers) {
  const KernelProblem problem = test::LoadProblem(
      RowsOfAllLengths(96, 30.0), test::RowsOfNorm(96, 1, 1.0, 2),
      {.ridge = 0.01}, context_);
  const auto together = Solve(problem, {.dense_rows = 16});
  ASSERT_TRUE(together.ok()) << together.status();
  const Workers one(1);
  const ComputeContext alone{.workers = one};
  const auto bands =
      BandSweeps::Make(problem.rows(), problem.form(), nullptr, problem.options,
                       {.dense_rows = 16}, alone);
  ASSERT_TRUE(bands.ok());
  const auto answer = SolveByBands(problem, **bands, alone);
  ASSERT_TRUE(answer.ok()) << answer.status();
  for (std::size_t i = 0; i < 96; ++i) {
    EXPECT_EQ(answer->columns[0].x[i].mantissa,
              together->columns[0].x[i].mantissa);
    EXPECT_EQ(answer->columns[0].x[i].exponent,
              together->columns[0].x[i].exponent);
  }
}

TEST_F(BandRouteTest, EndsAtItsLimitsWithWhatThereIs) {
  Matrix<double> a = test::RowsOfNorm(60, 3, 2.0, 1);
  for (Index i = 0; i < 60; ++i) a(i, 0) += 25.0;
  const Matrix<double> b = test::RowsOfNorm(60, 2, 1.0, 2);
  KernelProblem problem =
      test::LoadProblem(a, b, {.ridge = 0.01, .max_iterations = 1}, context_);
  const auto limited = Solve(problem, {.dense_rows = 4});
  ASSERT_TRUE(limited.ok()) << limited.status();
  EXPECT_EQ(limited->columns[1].termination, Termination::kIterationLimit);
  EXPECT_EQ(limited->columns[1].iterations, 1);

  const auto bands =
      BandSweeps::Make(problem.rows(), problem.form(), nullptr, problem.options,
                       {.dense_rows = 4}, context_);
  ASSERT_TRUE(bands.ok());
  StopSource source;
  source.RequestStop(StopReason::kDraining);
  const auto stopped = SolveByBands(
      problem, **bands, {.workers = workers_, .stop = source.token()});
  ASSERT_TRUE(stopped.ok());
  for (const ColumnAnswer& column : stopped->columns) {
    EXPECT_EQ(column.termination, Termination::kStopped);
  }
}

}  // namespace
}  // namespace steelyard
