#include "steelyard/attention_kernel_regression.h"

#include <chrono>
#include <cmath>
#include <limits>
#include <string>
#include <tuple>

#include "gtest/gtest.h"
#include "kernel/certificate.h"
#include "steelyard/status.h"
#include "tests/support/kernel_cases.h"
#include "tests/support/kernel_oracle.h"

namespace steelyard {
namespace {

using test::KernelSystem;

constexpr double kU = kUnitRoundoff;

class KernelRegression : public testing::Test {
 protected:
  absl::StatusOr<Solution> Solve(const KernelSystem& system,
                                 const Matrix<double>& b,
                                 AttentionKernelOptions options = {}) {
    options.scale = system.scale;
    options.normalization = system.normalization;
    options.ridge = system.ridge;
    options.row_ridge = system.row_ridge;
    return SolveAttentionKernelRegression(system.a.view(), b.view(), options,
                                          context_);
  }

  // What holds for every answer: nothing that is not a number, CONVERGED and
  // the certificates true by the oracle.
  void ExpectHonest(const KernelSystem& system, const Matrix<double>& b,
                    const Solution& solution, double tolerance) {
    const double logit = test::LargestLogit(system);
    const SolveReport& report = solution.report;
    for (Index c = 0; c < b.cols(); ++c) {
      const auto at = static_cast<std::size_t>(c);
      const test::OracleResidual truth = test::KernelResidual(
          system, test::ScaledColumnOf(solution, c), test::ColumnOf(b, c));
      SCOPED_TRACE(report.method + ", column " + std::to_string(c));
      EXPECT_TRUE(std::isfinite(report.relative_residual[at]));
      EXPECT_TRUE(std::isfinite(report.forward_error[at]));
      // The reported figures are off by rounding at most: sums (24 u), dots and
      // exponents (some 40 u L); DotErrorConstant, SumErrorConstant.
      const double slack = kU * (24.0 + 40.0 * logit);
      EXPECT_NEAR(report.componentwise_error[at], truth.omega,
                  slack + 0.01 * truth.omega);
      if (report.converged[at]) {
        EXPECT_LE(truth.relative_residual, tolerance);
      }
    }
    if (report.termination == Termination::kPrecisionFloor &&
        report.method.find("dense") != std::string::npos) {
      for (const double omega : report.componentwise_error) {
        EXPECT_LE(omega, std::max(1e-8, 8.0 * kU * logit));
      }
    }
  }

  Workers workers_{2};
  ComputeContext context_{.workers = workers_};
};

class EveryKernel
    : public KernelRegression,
      public testing::WithParamInterface<
          std::tuple<KernelNormalization, double, double, KernelMethod>> {};

TEST_P(EveryKernel, NothingIsLabelledBetterThanItIs) {
  const auto [normalization, norm, ridge, method] = GetParam();
  KernelSystem system{test::RowsOfNorm(48, 8, norm, 1), 1.0, normalization,
                      ridge};
  // Logits leave long double above norms of 60 or so.
  if (norm > 50.0) system.a = test::RowsOfNorm(24, 8, norm, 1);
  const Matrix<double> b = test::RowsOfNorm(system.a.rows(), 2, 1.0, 2);

  const auto solution = Solve(system, b, {.method = method});

  ASSERT_TRUE(solution.ok()) << solution.status();
  ExpectHonest(system, b, *solution, 1e-8);
  if (ridge == 1.0 && normalization != KernelNormalization::kNone) {
    EXPECT_EQ(solution->report.termination, Termination::kConverged);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Grid, EveryKernel,
    testing::Combine(testing::Values(KernelNormalization::kNone,
                                     KernelNormalization::kUnitDiagonal,
                                     KernelNormalization::kSoftmaxRows),
                     testing::Values(1e-3, 1.0, 5.0, 20.0, 100.0),
                     testing::Values(0.0, 1e-6, 1.0),
                     testing::Values(KernelMethod::kCholesky,
                                     KernelMethod::kConjugateGradient)));

// Forward error of a solve: cond(M) times componentwise errors of M, 8 u L with
// the constant of the sums; Higham, Accuracy and Stability, ch. 7.
double ForwardBound(double condition, double logit) {
  return condition * kU * (64.0 + 40.0 * logit);
}

TEST_F(KernelRegression, AgreesWithGaussianEliminationInMpfr) {
  for (const auto normalization :
       {KernelNormalization::kNone, KernelNormalization::kUnitDiagonal,
        KernelNormalization::kSoftmaxRows}) {
    const KernelSystem system{test::RowsOfNorm(20, 6, 2.0, 3), 0.7,
                              normalization, 0.01};
    const Matrix<double> b = test::RowsOfNorm(20, 1, 1.0, 4);
    const auto solution = Solve(system, b, {.tolerance = 1e-10});
    ASSERT_TRUE(solution.ok()) << solution.status();
    const ScaledVector truth =
        test::SolveKernelMpfr(system, test::ColumnOf(b, 0), 512);
    ScaledVector gap = test::ScaledColumnOf(*solution, 0);
    for (std::size_t i = 0; i < gap.size(); ++i) {
      gap[i] = Subtract(gap[i], truth[i]);
    }
    const double error = RatioOf(NormOf(gap), NormOf(truth));
    EXPECT_LE(error, solution->report.forward_error[0]);
    EXPECT_LE(error, ForwardBound(solution->report.condition_estimate,
                                  test::LargestLogit(system)) *
                         20.0);
  }
}

TEST_F(KernelRegression, EveryRowMayHaveARidgeOfItsOwn) {
  // Rows of length 20 need vectors in pairs (NONE) or GMRES (SOFTMAX_ROWS).
  for (const double norm : {1.0, 20.0}) {
    KernelSystem system{test::RowsOfNorm(30, 6, norm, 3)};
    system.ridge = 0.05;
    for (Index i = 0; i < 30; ++i) {
      system.row_ridge.push_back(i % 3 == 0 ? 0.0
                                            : 0.3 * static_cast<double>(i));
    }
    const Matrix<double> b = test::RowsOfNorm(30, 2, 1.0, 4);
    for (const auto normalization :
         {KernelNormalization::kNone, KernelNormalization::kUnitDiagonal,
          KernelNormalization::kSoftmaxRows}) {
      for (const auto method :
           {KernelMethod::kCholesky, KernelMethod::kConjugateGradient}) {
        system.normalization = normalization;
        const auto solution = Solve(system, b, {.method = method});
        ASSERT_TRUE(solution.ok()) << solution.status();
        ExpectHonest(system, b, *solution, 1e-8);
        if (norm > 1.0) continue;
        EXPECT_EQ(solution->report.termination, Termination::kConverged);
        const ScaledVector truth =
            test::SolveKernelMpfr(system, test::ColumnOf(b, 0), 256);
        ScaledVector gap = test::ScaledColumnOf(*solution, 0);
        for (std::size_t i = 0; i < gap.size(); ++i) {
          gap[i] = Subtract(gap[i], truth[i]);
        }
        EXPECT_LE(RatioOf(NormOf(gap), NormOf(truth)),
                  solution->report.forward_error[0]);
      }
    }
  }
}

TEST_F(KernelRegression, AnySpreadOfRowLengthsIsSolvedComponentwise) {
  // Rows 0, e_1, 40 e_1, 100 e_1 and others: K spans e^10000.
  KernelSystem system{test::RowsOfNorm(12, 4, 3.0, 5)};
  for (Index c = 0; c < 4; ++c) {
    system.a(0, c) = 0.0;
    for (Index i = 1; i < 4; ++i) system.a(i, c) = 0.0;
  }
  system.a(1, 0) = 1.0;
  system.a(2, 0) = 40.0;
  system.a(3, 0) = 100.0;
  const Matrix<double> b = test::RowsOfNorm(12, 1, 1.0, 6);

  const auto solution = Solve(system, b);

  ASSERT_TRUE(solution.ok()) << solution.status();
  EXPECT_FALSE(solution->x_exponents.empty());
  const double logit = test::LargestLogit(system);
  EXPECT_LE(solution->report.componentwise_error[0], 8.0 * kU * logit);
  const ScaledVector truth =
      test::SolveKernelMpfr(system, test::ColumnOf(b, 0), 40000);
  EXPECT_LE(
      test::ComponentwiseDifference(test::ScaledColumnOf(*solution, 0), truth),
      ForwardBound(1e4, logit));
}

TEST_F(KernelRegression, DuplicatedRowsNeedTheRidgeThatIsReported) {
  for (const auto normalization :
       {KernelNormalization::kNone, KernelNormalization::kUnitDiagonal,
        KernelNormalization::kSoftmaxRows}) {
    for (const auto method :
         {KernelMethod::kCholesky, KernelMethod::kConjugateGradient}) {
      KernelSystem system{test::RowsOfNorm(40, 8, 2.0, 7), 1.0, normalization};
      test::CopyRow(system.a, 3, 17);
      test::CopyRow(system.a, 3, 30);
      const Matrix<double> b = test::RowsOfNorm(40, 1, 1.0, 8);
      const auto refused = Solve(system, b, {.method = method});
      ASSERT_TRUE(refused.ok()) << refused.status();
      EXPECT_EQ(refused->report.termination, Termination::kIllConditioned)
          << refused->report.method;
      ASSERT_LT(refused->report.log_smallest_ridge, 0.0);

      system.ridge = std::exp(refused->report.log_smallest_ridge);
      const auto solved = Solve(system, b, {.method = KernelMethod::kCholesky});
      ASSERT_TRUE(solved.ok()) << solved.status();
      EXPECT_NE(solved->report.termination, Termination::kIllConditioned);
      ExpectHonest(system, b, *solved, 1e-8);
    }
  }
}

TEST_F(KernelRegression, IteratingAgreesWithFactoring) {
  for (const auto normalization :
       {KernelNormalization::kNone, KernelNormalization::kUnitDiagonal,
        KernelNormalization::kSoftmaxRows}) {
    const KernelSystem system{test::RowsOfNorm(300, 16, 2.0, 9), 1.0,
                              normalization, 0.1};
    const Matrix<double> b = test::RowsOfNorm(300, 3, 1.0, 10);
    const auto dense = Solve(system, b, {.method = KernelMethod::kCholesky});
    const auto iterated =
        Solve(system, b, {.method = KernelMethod::kConjugateGradient});
    ASSERT_TRUE(dense.ok() && iterated.ok());
    EXPECT_EQ(dense->report.termination, Termination::kConverged);
    EXPECT_EQ(iterated->report.termination, Termination::kConverged);
    double gap = 0.0;
    double size = 0.0;
    for (Index i = 0; i < dense->x.size(); ++i) {
      gap += std::pow(dense->x.data()[i] - iterated->x.data()[i], 2);
      size += std::pow(dense->x.data()[i], 2);
    }
    EXPECT_LE(std::sqrt(gap / size),
              1e-8 * 2.0 * dense->report.condition_estimate);
  }
}

TEST_F(KernelRegression, OneHugeRowCostsTheOthersNothing) {
  KernelSystem system{test::RowsOfNorm(30, 5, 1.0, 11), 1.0,
                      KernelNormalization::kUnitDiagonal, 0.1};
  for (Index c = 0; c < 5; ++c) system.a(12, c) = 1e100;
  const Matrix<double> b = test::RowsOfNorm(30, 1, 1.0, 12);
  for (const auto method :
       {KernelMethod::kCholesky, KernelMethod::kConjugateGradient}) {
    const auto solution = Solve(system, b, {.method = method});
    ASSERT_TRUE(solution.ok()) << solution.status();
    EXPECT_EQ(solution->report.termination, Termination::kConverged);
    // Alone in its row and column of G.
    EXPECT_NEAR(solution->x(12, 0), b(12, 0) / 1.1, 1e-8);
  }
}

TEST_F(KernelRegression, ZeroRightHandSideIsZeroAndConverged) {
  const KernelSystem system{test::RowsOfNorm(9, 3, 1.0, 13)};
  Matrix<double> b = test::RowsOfNorm(9, 2, 1.0, 14);
  for (Index i = 0; i < 9; ++i) b(i, 0) = 0.0;
  const auto solution = Solve(system, b);
  ASSERT_TRUE(solution.ok()) << solution.status();
  EXPECT_TRUE(solution->report.converged[0]);
  EXPECT_EQ(solution->report.relative_residual[0], 0.0);
  for (Index i = 0; i < 9; ++i) EXPECT_EQ(solution->x(i, 0), 0.0);
  EXPECT_TRUE(solution->report.converged[1]);
  EXPECT_GT(std::abs(solution->x(0, 1)), 0.0);
}

TEST_F(KernelRegression, SmallestProblemsAndAllZeroRows) {
  for (const auto normalization :
       {KernelNormalization::kNone, KernelNormalization::kUnitDiagonal,
        KernelNormalization::kSoftmaxRows}) {
    for (const auto method :
         {KernelMethod::kCholesky, KernelMethod::kConjugateGradient}) {
      KernelSystem one{Matrix<double>(1, 1), 1.0, normalization};
      one.a(0, 0) = 2.0;
      Matrix<double> b(1, 1);
      b(0, 0) = 3.0;
      const auto solution = Solve(one, b, {.method = method});
      ASSERT_TRUE(solution.ok()) << solution.status();
      EXPECT_EQ(solution->report.termination, Termination::kConverged);
      const double entry =
          normalization == KernelNormalization::kNone ? std::exp(4.0) : 1.0;
      EXPECT_NEAR(solution->x(0, 0), 3.0 / entry, 1e-8 * 3.0 / entry);

      const KernelSystem zeros{Matrix<double>(6, 2), 1.0, normalization};
      const auto singular =
          Solve(zeros, test::RowsOfNorm(6, 1, 1.0, 15), {.method = method});
      ASSERT_TRUE(singular.ok()) << singular.status();
      EXPECT_EQ(singular->report.termination, Termination::kIllConditioned);
    }
  }
}

TEST_F(KernelRegression, ExtremeEntriesHaveDocumentedOutcomes) {
  Matrix<double> b = test::RowsOfNorm(4, 1, 1.0, 16);
  KernelSystem tiny{test::RowsOfNorm(4, 3, 1e-300, 17)};
  const auto ones = Solve(tiny, b);
  ASSERT_TRUE(ones.ok()) << ones.status();
  EXPECT_EQ(ones->report.termination, Termination::kIllConditioned);

  KernelSystem huge{test::RowsOfNorm(4, 3, 1e300, 18)};
  for (const auto normalization :
       {KernelNormalization::kNone, KernelNormalization::kUnitDiagonal,
        KernelNormalization::kSoftmaxRows}) {
    huge.normalization = normalization;
    const auto refused = Solve(huge, b);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
    const auto detail = DetailOf(refused.status());
    ASSERT_TRUE(detail.has_value());
    EXPECT_EQ(detail->reason, "FIELD_OUT_OF_RANGE");
    EXPECT_EQ(detail->field, "a");
  }
  // A small s brings the same rows back.
  huge.scale = 1e-300;
  for (Index i = 0; i < huge.a.size(); ++i) huge.a.data()[i] *= 1e-150;
  const auto solved = Solve(huge, b);
  ASSERT_TRUE(solved.ok()) << solved.status();
}

TEST_F(KernelRegression, NotANumberIsRefusedWithItsPlace) {
  KernelSystem system{test::RowsOfNorm(4, 3, 1.0, 19)};
  Matrix<double> b = test::RowsOfNorm(4, 1, 1.0, 20);
  b(2, 0) = std::numeric_limits<double>::quiet_NaN();
  const auto refused = Solve(system, b);
  ASSERT_FALSE(refused.ok());
  const auto detail = DetailOf(refused.status());
  ASSERT_TRUE(detail.has_value());
  EXPECT_EQ(detail->reason, "NOT_FINITE");
  EXPECT_EQ(detail->field, "b");
}

TEST_F(KernelRegression, LimitsReturnTheBestAnswerSoFar) {
  const KernelSystem system{test::RowsOfNorm(200, 8, 1.5, 21), 1.0,
                            KernelNormalization::kUnitDiagonal, 1e-6};
  const Matrix<double> b = test::RowsOfNorm(200, 1, 1.0, 22);
  const auto few =
      Solve(system, b,
            {.max_iterations = 3, .method = KernelMethod::kConjugateGradient});
  ASSERT_TRUE(few.ok()) << few.status();
  EXPECT_EQ(few->report.termination, Termination::kIterationLimit);
  EXPECT_EQ(few->report.iterations, 3);
  ExpectHonest(system, b, *few, 1e-8);

  for (const auto method :
       {KernelMethod::kCholesky, KernelMethod::kConjugateGradient}) {
    StopSource late;
    late.StopAt(StopToken::Clock::now(), StopReason::kTimeLimit);
    context_.stop = late.token();
    const auto timed = Solve(system, b, {.method = method});
    ASSERT_TRUE(timed.ok()) << timed.status();
    EXPECT_EQ(timed->report.termination, Termination::kTimeLimit);

    StopSource draining;
    draining.RequestStop(StopReason::kDraining);
    context_.stop = draining.token();
    const auto drained = Solve(system, b, {.method = method});
    ASSERT_TRUE(drained.ok()) << drained.status();
    EXPECT_EQ(drained->report.termination, Termination::kStopped);
  }
}

TEST_F(KernelRegression, CancelledAtAnyLookItEndsAtOnce) {
  const KernelSystem system{test::RowsOfNorm(600, 8, 1.5, 23), 1.0,
                            KernelNormalization::kUnitDiagonal, 0.1};
  const Matrix<double> b = test::RowsOfNorm(600, 1, 1.0, 24);
  for (const auto method :
       {KernelMethod::kCholesky, KernelMethod::kConjugateGradient}) {
    StopSource quiet;
    context_.stop = quiet.token();
    ASSERT_TRUE(Solve(system, b, {.method = method}).ok());
    const std::int64_t looks = context_.stop.looks();
    ASSERT_GT(looks, 20);
    for (std::int64_t look = 1; look < looks; look += looks / 7) {
      StopSource source;
      source.StopAtLook(look);
      context_.stop = source.token();
      const auto cancelled = Solve(system, b, {.method = method});
      EXPECT_EQ(cancelled.status().code(), absl::StatusCode::kCancelled)
          << "look " << look << " of " << looks;
    }
  }
}

TEST_F(KernelRegression, SameBitsForAnyNumberOfWorkers) {
  const KernelSystem system{test::RowsOfNorm(700, 8, 1.5, 25), 1.0,
                            KernelNormalization::kUnitDiagonal, 0.1};
  const Matrix<double> b = test::RowsOfNorm(700, 2, 1.0, 26);
  for (const auto method :
       {KernelMethod::kCholesky, KernelMethod::kConjugateGradient}) {
    const auto two = Solve(system, b, {.method = method});
    ASSERT_TRUE(two.ok());
    for (const int count : {1, 3}) {
      const Workers workers(count);
      const auto other =
          SolveAttentionKernelRegression(system.a.view(), b.view(),
                                         {.normalization = system.normalization,
                                          .ridge = system.ridge,
                                          .method = method},
                                         {.workers = workers});
      ASSERT_TRUE(other.ok());
      for (Index i = 0; i < two->x.size(); ++i) {
        ASSERT_EQ(two->x.data()[i], other->x.data()[i]) << i;
      }
    }
  }
}

TEST_F(KernelRegression, CostGrowsWithTheProblem) {
  const auto cost = [](Index n, Index d, Index k) {
    return CostOfAttentionKernelRegression(n, d, k, {}, 2);
  };
  EXPECT_GT(cost(8000, 64, 1).bytes, 8.0 * 8000 * 8000);
  EXPECT_LT(cost(100000, 64, 1).bytes, 8.0 * 100000 * 2200);
  EXPECT_GT(cost(1000, 64, 2).flops, cost(1000, 64, 1).flops);
  EXPECT_GT(cost(2000, 64, 1).flops, cost(1000, 64, 1).flops);
}

}  // namespace
}  // namespace steelyard
