#include "kernel/band_sweeps.h"

#include <cmath>

#include "gtest/gtest.h"
#include "kernel/certificate.h"
#include "tests/support/kernel_problems.h"

namespace steelyard {
namespace {

class BandSweepsTest : public testing::Test {
 protected:
  // Lengths from 1 to 20 in an order of their own; row 4 twice.
  BandSweepsTest() : a_(test::RowsOfNorm(kN, 5, 1.0, 1)) {
    for (Index i = 0; i < kN; ++i) {
      const double length = 1.0 + 19.0 * static_cast<double>(i * 37 % kN) /
                                      static_cast<double>(kN - 1);
      for (Index c = 0; c < 5; ++c) a_(i, c) *= length;
    }
  }

  KernelProblem Problem(double ridge) {
    return test::LoadProblem(a_, test::RowsOfNorm(kN, 1, 1.0, 2),
                             {.ridge = ridge}, context_);
  }

  std::unique_ptr<const BandSweeps> Bands(const KernelProblem& problem,
                                          const BandLimits& limits) {
    return BandSweeps::Make(problem.rows(), problem.form(), nullptr,
                            problem.options, limits, context_)
        .value();
  }

  static constexpr Index kN = 90;
  Workers workers_{2};
  ComputeContext context_{.workers = workers_};
  Matrix<double> a_;
};

TEST_F(BandSweepsTest, BandsAreAsWideAsTheirScaleOrAsTheirRowsAllow) {
  const std::vector<double> log_scale{0, -1, -2, -3, -50, -51, -90, -200, -900};
  const auto bands = CutBands(log_scale, {.width = 10.0, .dense_rows = 3});
  ASSERT_EQ(bands.size(), 3u);
  EXPECT_EQ(bands[0].count, 4);  // within e^10
  EXPECT_EQ(bands[1].first, 4);
  EXPECT_EQ(bands[1].count, 3);  // few rows of any scale
  EXPECT_EQ(bands[2].count, 2);
  EXPECT_EQ(CutBands(log_scale, kOneBand).size(), 1u);
}

TEST_F(BandSweepsTest, RowsOfOneScaleStayTogether) {
  // Eight by eight would cut the last of the three equal ones off.
  const std::vector<double> log_scale{0,   -10, -20, -30, -40, -50,
                                      -65, -65, -65, -80, -90};
  const auto bands = CutBands(log_scale, {.width = 1.0, .dense_rows = 8});
  ASSERT_EQ(bands.size(), 2u);
  EXPECT_TRUE(bands[0].count == 6 || bands[0].count == 9) << bands[0].count;
}

TEST_F(BandSweepsTest, DenseBandsStayWithinTheirMemory) {
  for (const Index n : {100, 20000, 200000, 10000000}) {
    const BandLimits limits = BandLimitsOf(n);
    EXPECT_GE(limits.dense_rows, 64);
    EXPECT_LE(limits.dense_rows, 1024);
    EXPECT_LT(8 * n * limits.dense_rows, BandSweeps::BytesMax(n, 8));
  }
}

TEST_F(BandSweepsTest, ASweepSolvesTheLowerTriangle) {
  const KernelProblem problem = Problem(0.01);
  ASSERT_GT(problem.form().spread, kCommonScaleSpreadMax);
  const BandLimits limits{.width = 8.0, .dense_rows = 10};
  const auto sweeps = Bands(problem, limits);
  ASSERT_GT(sweeps->bands(), 4);
  EXPECT_FALSE(sweeps->singular());
  const ScaledVector r = sweeps->Sorted(problem.b[0]);
  ScaledVector y = r;
  ASSERT_TRUE(sweeps->Sweep(y, context_).ok());
  ScaledVector sizes = y;
  for (ScaledNumber& size : sizes) size = Absolute(size);
  // Steps of a band end at 1e-7 of its largest right-hand side, in the units
  // of S; logits.
  const double accuracy = 1e-7 * std::exp(limits.width) +
                          100.0 * kUnitRoundoff * problem.rows().logit_max;
  for (const RowRange& band : CutBands(sweeps->form().log_left, limits)) {
    const RowRange until{0, band.first + band.count};
    const auto product =
        TrueProduct(sweeps->matrix(), band, until, y, context_);
    const auto magnitude =
        TrueProduct(sweeps->matrix(), band, until, sizes, context_);
    ASSERT_TRUE(product.ok() && magnitude.ok());
    for (Index i = 0; i < band.count; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const ScaledNumber& rhs = r[static_cast<std::size_t>(band.first + i)];
      EXPECT_LE(RatioOf(Subtract((*product)[at], rhs),
                        Add((*magnitude)[at], Absolute(rhs))),
                accuracy)
          << band.first + i;
    }
  }
}

TEST_F(BandSweepsTest, SortingGoesBack) {
  const KernelProblem problem = Problem(0.0);
  const auto sweeps = Bands(problem, {.dense_rows = 20});
  const ScaledVector back = sweeps->Unsorted(sweeps->Sorted(problem.b[0]));
  for (std::size_t i = 0; i < back.size(); ++i) {
    EXPECT_EQ(back[i].mantissa, problem.b[0][i].mantissa);
    EXPECT_EQ(back[i].exponent, problem.b[0][i].exponent);
  }
  const std::vector<double>& scale = sweeps->form().log_left;
  EXPECT_TRUE(std::is_sorted(scale.rbegin(), scale.rend()));
}

TEST_F(BandSweepsTest, DoubledRowsAreLiftedAndTold) {
  test::CopyRow(a_, 4, 31);
  const KernelProblem problem = Problem(0.0);
  const auto sweeps = Bands(problem, {.dense_rows = 30});
  EXPECT_TRUE(sweeps->singular());
  EXPECT_GT(sweeps->bytes(), 8 * kN * 5);
  ScaledVector y = sweeps->Sorted(problem.b[0]);
  ASSERT_TRUE(sweeps->Sweep(y, context_).ok());
  for (const ScaledNumber& value : y) {
    EXPECT_TRUE(std::isfinite(value.mantissa));
  }
}

TEST_F(BandSweepsTest, PolynomialSketchesAreRefusedByTheRows) {
  KernelProblem problem = Problem(0.01);
  problem.options.preconditioner = KernelPreconditioner::kPolynomialSketch;
  EXPECT_EQ(BandSweeps::Make(problem.rows(), problem.form(), nullptr,
                             problem.options, {}, context_)
                .status()
                .code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(BandSweepsTest, StopsBetweenBands) {
  const KernelProblem problem = Problem(0.01);
  const auto sweeps = Bands(problem, {.width = 12.0, .dense_rows = 10});
  StopSource source;
  source.RequestStop(StopReason::kDraining);
  const ComputeContext stopped{.workers = workers_, .stop = source.token()};
  ScaledVector y = sweeps->Sorted(problem.b[0]);
  EXPECT_TRUE(absl::IsAborted(sweeps->Sweep(y, stopped)));
}

}  // namespace
}  // namespace steelyard
