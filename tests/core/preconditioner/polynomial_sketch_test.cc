#include "preconditioner/polynomial_sketch.h"

#include <cmath>
#include <variant>

#include "gtest/gtest.h"
#include "steelyard/status.h"
#include "tests/core/preconditioner/preconditioner_cases.h"
#include "tests/support/bounds.h"

namespace steelyard {
namespace {

using test::LoadedKernel;

class PolynomialSketchTest : public testing::Test {
 protected:
  Matrix<double> Features(const LoadedKernel& kernel, const TaylorPlan& plan) {
    const auto factor = TaylorFeatures(plan, FactorPrecision::kFloat64,
                                       kernel.Source(), context_);
    EXPECT_TRUE(factor.ok());
    return *std::get<SharedMatrix<double>>(factor->features);
  }

  // max |F F' - w E w|.
  double Distance(const LoadedKernel& kernel, const Matrix<double>& f) {
    const test::LongMatrix whole =
        test::DenseForm(kernel.problem.rows(), kernel.problem.form(), false);
    double worst = 0.0;
    for (Index i = 0; i < f.cols(); ++i) {
      for (Index j = 0; j < f.cols(); ++j) {
        double sum = 0.0;
        for (Index t = 0; t < f.rows(); ++t) sum += f(t, i) * f(t, j);
        worst = std::max(
            worst,
            std::abs(sum - static_cast<double>(whole[static_cast<std::size_t>(
                               i)][static_cast<std::size_t>(j)])));
      }
    }
    return worst;
  }

  Workers workers_{2};
  ComputeContext context_{.workers = workers_};
};

TEST_F(PolynomialSketchTest, MonomialsAreTheTaylorSeries) {
  for (const auto kind :
       {KernelNormalization::kNone, KernelNormalization::kUnitDiagonal,
        KernelNormalization::kSoftmaxRows}) {
    const LoadedKernel kernel(test::RowsOfNorm(25, 2, 0.7, 1),
                              test::KernelOptionsOf(kind, 0.1), context_);
    const TaylorPlan plan = PlanTaylorFeatures(kernel.problem.rows(), 400, 1);
    EXPECT_EQ(plan.sketch_columns, 0);
    EXPECT_EQ(plan.exact_levels, plan.degree + 1);
    EXPECT_EQ(plan.exact_columns, (plan.degree + 1) * (plan.degree + 2) / 2);
    const Matrix<double> f = Features(kernel, plan);
    // Tail of the series at q: a Poisson variable above degree.
    const double q = LargestSquare(kernel.problem.rows());
    double tail = 0.0;
    for (int l = plan.degree + 1; l < 100; ++l) {
      tail += std::exp(l * std::log(q) - std::lgamma(l + 1.0));
    }
    EXPECT_LE(Distance(kernel, f), tail + test::Gamma(100));
    EXPECT_LT(tail, 1e-2);
  }
}

TEST_F(PolynomialSketchTest, ASketchTakesWhatIsLeftOfTheColumns) {
  const LoadedKernel kernel(
      test::RowsOfNorm(30, 6, 1.0, 1),
      test::KernelOptionsOf(KernelNormalization::kUnitDiagonal, 0.1), context_);
  // 1 + 6 + 21 monomials of levels 0 to 2.
  const TaylorPlan plan = PlanTaylorFeatures(kernel.problem.rows(), 30, 1);
  EXPECT_EQ(plan.exact_levels, 3);
  EXPECT_EQ(plan.exact_columns, 28);
  EXPECT_EQ(plan.sketch_columns, 2);
  // Most of the energy is in the monomials; more columns, less distance.
  const double few = Distance(
      kernel,
      Features(kernel, PlanTaylorFeatures(kernel.problem.rows(), 7, 1)));
  const double many = Distance(
      kernel,
      Features(kernel, PlanTaylorFeatures(kernel.problem.rows(), 600, 1)));
  EXPECT_LT(many, 0.25 * few);
}

// E F F' = w E w up to the tail of the series: the mean of 300 sketches, six
// standard deviations (once in 1e8 entries; 15 entries).
TEST_F(PolynomialSketchTest, IsRightOnAverage) {
  const LoadedKernel kernel(
      test::RowsOfNorm(5, 4, 1.2, 1),
      test::KernelOptionsOf(KernelNormalization::kNone, 0.5), context_);
  const test::LongMatrix whole =
      test::DenseForm(kernel.problem.rows(), kernel.problem.form(), false);
  constexpr int kSeeds = 300;
  Matrix<double> sums(5, 5);
  Matrix<double> squares(5, 5);
  for (int seed = 0; seed < kSeeds; ++seed) {
    const TaylorPlan plan = PlanTaylorFeatures(
        kernel.problem.rows(), 20, static_cast<std::uint64_t>(seed));
    const Matrix<double> f = Features(kernel, plan);
    for (Index i = 0; i < 5; ++i) {
      for (Index j = 0; j < 5; ++j) {
        double value = 0.0;
        for (Index t = 0; t < f.rows(); ++t) value += f(t, i) * f(t, j);
        sums(i, j) += value;
        squares(i, j) += value * value;
      }
    }
  }
  for (Index i = 0; i < 5; ++i) {
    for (Index j = i; j < 5; ++j) {
      const double mean = sums(i, j) / kSeeds;
      const double variance =
          std::max(0.0, squares(i, j) / kSeeds - mean * mean);
      // 1e-3 of the series at the longest row is left out.
      EXPECT_NEAR(
          mean,
          static_cast<double>(
              whole[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)]),
          6.0 * std::sqrt(variance / kSeeds) + 1e-3);
    }
  }
}

TEST_F(PolynomialSketchTest, Float32IsFloat64Rounded) {
  // Two panels; monomials and a sketch.
  const LoadedKernel kernel(
      test::RowsOfNorm(150, 6, 1.0, 1),
      test::KernelOptionsOf(KernelNormalization::kNone, 0.1), context_);
  const TaylorPlan plan = PlanTaylorFeatures(kernel.problem.rows(), 40, 1);
  ASSERT_GT(plan.sketch_columns, 0);
  const Matrix<double> wide = Features(kernel, plan);
  const auto factor = TaylorFeatures(plan, FactorPrecision::kFloat32,
                                     kernel.Source(), context_);
  ASSERT_TRUE(factor.ok());
  const auto& narrow = *std::get<SharedMatrix<float>>(factor->features);
  for (Index i = 0; i < 150; ++i) {
    double square = 0.0;
    for (Index j = 0; j < plan.columns(); ++j) {
      EXPECT_EQ(narrow(j, i), static_cast<float>(wide(j, i)));
      square += static_cast<double>(narrow(j, i)) * narrow(j, i);
    }
    EXPECT_NEAR(factor->squares[static_cast<std::size_t>(i)], square,
                test::Gamma(40) * square);
  }
}

TEST_F(PolynomialSketchTest, LongRowsAreOutOfRange) {
  const LoadedKernel kernel(
      test::RowsOfNorm(10, 4, 9.0, 1),
      test::KernelOptionsOf(KernelNormalization::kUnitDiagonal, 0.5), context_);
  ASSERT_GT(LargestSquare(kernel.problem.rows()), kTaylorSquareMax);
  const auto made = MakePolynomialSketch(5, kernel.Source(), context_);
  EXPECT_EQ(made.status().code(), absl::StatusCode::kInvalidArgument);
  const auto detail = DetailOf(made.status());
  ASSERT_TRUE(detail.has_value());
  EXPECT_EQ(detail->reason, "FIELD_OUT_OF_RANGE");
  EXPECT_EQ(detail->field, "preconditioner");
}

}  // namespace
}  // namespace steelyard
