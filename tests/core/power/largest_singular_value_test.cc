#include "power/largest_singular_value.h"

#include <gtest/gtest.h>

#include <cmath>
#include <utility>

#include "tests/core/power/power_problems.h"

namespace steelyard::test {
namespace {

absl::StatusOr<double> Log2NormOf(const Matrix<double>& a) {
  const ComputeContext context{OneWorker()};
  const auto scales = ScanColumns(a.view(), "a", context);
  auto factor = FactorMatrix(a.view(), *scales, {}, context);
  const auto solver = GramSolver::Make(*factor, context);
  return Log2LargestSingularValue(*factor, *solver, nullptr, context);
}

// A tridiagonal eigenvalue right to 1e-10, halved by the root.
constexpr double kTolerance = 1e-10;

TEST(LargestSingularValueTest, KnownSpectrumOfAnySize) {
  const Index d = 40;
  for (const double size : {1.0, 0x1p-990, 0x1p900}) {
    Matrix<double> a = MatrixOfCondition(90, d, 1e6);
    for (Index e = 0; e < a.size(); ++e) a.data()[e] *= size;
    const auto norm = Log2NormOf(a);
    ASSERT_TRUE(norm.ok());
    EXPECT_NEAR(*norm, std::log2(size), kTolerance);
  }
}

TEST(LargestSingularValueTest, ColumnsOfDifferentSize) {
  // diag: the norm is the largest entry.
  Matrix<double> a(7, 7);
  for (Index i = 0; i < 7; ++i)
    a(i, i) = std::ldexp(1.0, 10 * static_cast<int>(i));
  a(6, 6) = 0x1.8p60;
  const auto norm = Log2NormOf(a);
  ASSERT_TRUE(norm.ok());
  EXPECT_NEAR(*norm, 60.0 + std::log2(1.5), kTolerance);
}

TEST(LargestSingularValueTest, ClusteredValuesBeyondTheSmallOrder) {
  // No singular values come with R for d > 128; half of these are 1.
  const Index d = 150;
  std::vector<double> values(static_cast<std::size_t>(d), 0.5);
  std::fill_n(values.begin(), 75, 1.0);
  const auto norm = Log2NormOf(MatrixWithSingularValues(d, values, Seed{3}));
  ASSERT_TRUE(norm.ok());
  EXPECT_NEAR(*norm, 0.0, kTolerance);
}

// R of a sketch is off by its distortion: here up to 30 % in every row.
TEST(LargestSingularValueTest, AnRThatOnlyPreconditionsIsCorrectedByA) {
  const ComputeContext context{OneWorker()};
  for (const double condition : {1.5, 100.0, 1e8}) {
    const Matrix<double> a = MatrixOfCondition(300, 60, condition);
    const auto scales = ScanColumns(a.view(), "a", context);
    const auto factor = FactorMatrix(a.view(), *scales, {}, context);
    const auto of_a = GramSolver::Make(*factor, context);
    Factor sketched = *factor;
    sketched.singular_values.clear();
    const RandomStream random{Seed{8}};
    for (Index i = 0; i < 60; ++i) {
      const double off =
          0.7 + 0.6 * random.Uniform(static_cast<std::uint64_t>(i));
      for (Index j = i; j < 60; ++j) sketched.r(i, j) *= off;
    }
    const auto of_r = GramSolver::Make(sketched, context);
    const auto rough =
        Log2LargestSingularValue(sketched, *of_r, nullptr, context);
    const auto norm =
        Log2LargestSingularValue(sketched, *of_r, &*of_a, context);
    ASSERT_TRUE(norm.ok());
    // The largest singular value is 1. Eigenvalues right to 0.01 at the worst,
    // with a gap of a tenth to 1e-3; log2 of the root.
    EXPECT_LT(std::abs(*norm), 0.5 * 0.01 / std::log(2.0)) << condition;
    EXPECT_GT(std::abs(*rough), std::abs(*norm)) << condition;
  }
}

}  // namespace
}  // namespace steelyard::test
