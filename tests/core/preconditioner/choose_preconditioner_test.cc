#include "preconditioner/choose_preconditioner.h"

#include <algorithm>
#include <cmath>

#include "gmock/gmock.h"
#include "preconditioner/probe.h"
#include "tests/core/preconditioner/preconditioner_cases.h"

namespace steelyard {
namespace {

using test::LoadedKernel;
using testing::HasSubstr;

class ChoosePreconditionerTest : public testing::Test {
 protected:
  PreconditionerChoice Choose(const LoadedKernel& kernel,
                              const PreconditionerLimits& limits = {}) {
    auto choice = ChoosePreconditioner(kernel.Source(), limits, context_);
    EXPECT_TRUE(choice.ok()) << choice.status();
    return choice.ok() ? *std::move(choice) : PreconditionerChoice();
  }

  // Steps to 1e-8, up to 400.
  int StepsOf(const LoadedKernel& kernel, const Preconditioner& p) {
    const PreconditionerSource source = kernel.Source();
    Probe probe(source);
    EXPECT_TRUE(probe.Add(p, context_).ok());
    int steps = 0;
    while (steps < 400 && probe.run(0).residuals.back() > 1e-8) {
      EXPECT_TRUE(probe.Step({0}, context_).ok());
      ++steps;
    }
    return steps;
  }

  static Matrix<double> Hard() { return test::RowsOfNorm(500, 4, 1.5, 1); }
  static AttentionKernelOptions Unit(double ridge) {
    return test::KernelOptionsOf(KernelNormalization::kUnitDiagonal, ridge);
  }

  Workers workers_{2};
  ComputeContext context_{.workers = workers_};
};

TEST_F(ChoosePreconditionerTest, NothingIsBuiltWhereJacobiIsDoneSoon) {
  const LoadedKernel kernel(test::RowsOfNorm(300, 64, 4.0, 1), Unit(0.1),
                            context_);
  const PreconditionerChoice choice = Choose(kernel);
  EXPECT_EQ(choice.preconditioner->kind(), KernelPreconditioner::kJacobi);
  ASSERT_EQ(choice.trials.size(), 1u);
  EXPECT_EQ(choice.trials[0].iterations, 2);
  EXPECT_LT(choice.trials[0].contraction, 0.2);
  EXPECT_EQ(choice.products, 2.0);
  EXPECT_LE(StepsOf(kernel, *choice.preconditioner), 12);
  EXPECT_THAT(choice.reason, HasSubstr("Jacobi"));
}

TEST_F(ChoosePreconditionerTest, RankGrowsWhileItPays) {
  const LoadedKernel kernel(Hard(), Unit(1e-4), context_);
  const PreconditionerChoice choice = Choose(kernel);
  ASSERT_GE(choice.trials.size(), 2u);
  Index rank = 0;
  for (const PreconditionerTrial& trial : choice.trials) {
    EXPECT_GE(trial.iterations, 1);
    if (trial.preconditioner != choice.preconditioner->kind()) continue;
    EXPECT_GT(trial.rank, rank);
    rank = trial.rank;
  }
  EXPECT_EQ(choice.preconditioner->rank(), rank);
  const int steps = StepsOf(kernel, *choice.preconditioner);
  const auto jacobi = MakePreconditioner(KernelPreconditioner::kJacobi, 0,
                                         kernel.Source(), context_);
  EXPECT_LT(steps + choice.products, 0.8 * StepsOf(kernel, **jacobi));
  // Of the right order; too few, rather.
  EXPECT_LT(choice.iterations_expected, 2.5 * steps + 5.0);
  EXPECT_GT(choice.iterations_expected, 0.15 * steps - 5.0);
}

TEST_F(ChoosePreconditionerTest, MonomialsWhereRowsFillTheirSpace) {
  const LoadedKernel kernel(test::RowsOfNorm(600, 16, 1.0, 1), Unit(0.01),
                            context_);
  const PreconditionerChoice choice = Choose(kernel);
  EXPECT_EQ(choice.preconditioner->kind(),
            KernelPreconditioner::kPolynomialSketch);
  const auto pivots = MakePreconditioner(KernelPreconditioner::kRpCholesky,
                                         choice.preconditioner->rank(),
                                         kernel.Source(), context_);
  ASSERT_TRUE(pivots.ok());
  EXPECT_LT(StepsOf(kernel, *choice.preconditioner), StepsOf(kernel, **pivots));
  EXPECT_THAT(choice.reason, HasSubstr("steps are expected"));
}

TEST_F(ChoosePreconditionerTest, PivotsWhereRowsLieNearAFewPoints) {
  // 20 points, and 1e-3 about each.
  const Matrix<double> points = test::RowsOfNorm(20, 16, 3.0, 1);
  Matrix<double> a = test::RowsOfNorm(800, 16, 1e-3, 2);
  for (Index i = 0; i < a.rows(); ++i) {
    for (Index c = 0; c < a.cols(); ++c) a(i, c) += points(i % 20, c);
  }
  const LoadedKernel kernel(std::move(a), Unit(1e-3), context_);
  const PreconditionerChoice choice = Choose(kernel);
  EXPECT_EQ(choice.preconditioner->kind(), KernelPreconditioner::kRpCholesky);
  EXPECT_LE(StepsOf(kernel, *choice.preconditioner), 10);
}

TEST_F(ChoosePreconditionerTest, LongRowsHaveNoMonomials) {
  const LoadedKernel kernel(test::RowsOfNorm(300, 2, 8.0, 1), Unit(1e-3),
                            context_);
  for (const PreconditionerTrial& trial : Choose(kernel).trials) {
    EXPECT_NE(trial.preconditioner, KernelPreconditioner::kPolynomialSketch);
  }
}

TEST_F(ChoosePreconditionerTest, LimitsHold) {
  const LoadedKernel kernel(Hard(), Unit(1e-4), context_);
  PreconditionerChoice choice = Choose(kernel, {.bytes = 0.0});
  EXPECT_EQ(choice.preconditioner->kind(), KernelPreconditioner::kJacobi);
  EXPECT_THAT(choice.reason, HasSubstr("memory"));
  choice = Choose(kernel, {.max_rank = 7});
  EXPECT_GE(choice.preconditioner->rank(), 1);
  for (const PreconditionerTrial& trial : choice.trials) {
    EXPECT_LE(trial.rank, 7);
  }
  choice = Choose(kernel, {.kind = KernelPreconditioner::kNone});
  EXPECT_EQ(choice.preconditioner->kind(), KernelPreconditioner::kNone);
  EXPECT_TRUE(choice.trials.empty());
  for (const KernelPreconditioner kind :
       {KernelPreconditioner::kRpCholesky,
        KernelPreconditioner::kPolynomialSketch}) {
    choice = Choose(kernel, {.max_rank = 60, .kind = kind});
    ASSERT_FALSE(choice.trials.empty());
    for (const PreconditionerTrial& trial : choice.trials) {
      EXPECT_EQ(trial.preconditioner, kind);
      EXPECT_LE(trial.rank, 60);
    }
    EXPECT_EQ(choice.preconditioner->kind(), kind);
  }
}

TEST_F(ChoosePreconditionerTest, AwkwardRowsHaveAChoice) {
  for (const test::PreconditionerCase& c : test::AwkwardKernels()) {
    SCOPED_TRACE(c.name);
    const LoadedKernel kernel(c.a, c.options, context_);
    const PreconditionerChoice choice = Choose(kernel);
    ASSERT_NE(choice.preconditioner, nullptr);
    EXPECT_FALSE(choice.trials.empty());
    EXPECT_FALSE(choice.reason.empty());
    const auto jacobi = MakePreconditioner(KernelPreconditioner::kJacobi, 0,
                                           kernel.Source(), context_);
    EXPECT_LE(StepsOf(kernel, *choice.preconditioner),
              std::max(45, StepsOf(kernel, **jacobi)));
  }
}

TEST_F(ChoosePreconditionerTest, SameBitsForAnyNumberOfWorkers) {
  const LoadedKernel kernel(Hard(), Unit(1e-3), context_);
  const Matrix<double> v = test::RowsOfNorm(1, 500, 1.0, 5);
  Matrix<double> first;
  for (const int count : {1, 2, 4}) {
    const Workers workers(count);
    const ComputeContext context{.workers = workers};
    const auto choice = ChoosePreconditioner(kernel.Source(), {}, context);
    ASSERT_TRUE(choice.ok());
    Matrix<double> out = v;
    ASSERT_TRUE(choice->preconditioner->Apply(out, context).ok());
    if (count == 1) first = out;
    EXPECT_TRUE(
        std::equal(first.data(), first.data() + first.size(), out.data()));
  }
}

TEST_F(ChoosePreconditionerTest, AStopAtAnyLookEndsIt) {
  StopSource counting;
  const ComputeContext context{.workers = workers_, .stop = counting.token()};
  // A kernel for each: the first product with one packs its rows.
  const LoadedKernel counted(Hard(), Unit(1e-3), context_);
  ASSERT_TRUE(ChoosePreconditioner(counted.Source(), {}, context).ok());
  const std::int64_t looks = counting.token().looks();
  for (const std::int64_t look :
       {std::int64_t{1}, looks / 4, looks / 2, looks - 1}) {
    const LoadedKernel kernel(Hard(), Unit(1e-3), context_);
    StopSource source;
    source.StopAtLook(look);
    const ComputeContext stopped{.workers = workers_, .stop = source.token()};
    EXPECT_EQ(
        ChoosePreconditioner(kernel.Source(), {}, stopped).status().code(),
        absl::StatusCode::kCancelled);
  }
}

TEST(IterationsExpectedTest, GoesOnAtTheRateThatWasSeen) {
  EXPECT_EQ(IterationsExpected({1.0, 0.1, 1e-9}, {1.0, 0.2, 0.1}), 2.0);
  // ln 1e8 / ln 10 = 8.
  const std::vector<double> tenfold{1.0, 0.1, 0.01};
  EXPECT_NEAR(IterationsExpected(tenfold, tenfold), 8.0, 1e-9);
  // Residuals that rise at first: 9 decades from 10 on, a tenth a step.
  EXPECT_NEAR(IterationsExpected({1.0, 5.0, 10.0}, tenfold), 11.0, 1e-9);
  // Norms that fall in the later half alone.
  EXPECT_NEAR(IterationsExpected({1.0, 1.0, 1.0, 0.1, 0.01},
                                 {1.0, 1.0, 1.0, 0.1, 0.01}),
              10.0, 1e-9);
  EXPECT_EQ(IterationsExpected({1.0, 2.0, 3.0}, {1.0, 2.0, 3.0}), 1e4);
  EXPECT_EQ(IterationsExpected({1.0}, {1.0}), 1e4);
}

}  // namespace
}  // namespace steelyard
