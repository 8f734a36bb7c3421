#include "preconditioner/random_pivots.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>

#include "gtest/gtest.h"
#include "preconditioner/probe.h"
#include "tests/core/preconditioner/preconditioner_cases.h"
#include "tests/support/bounds.h"

namespace steelyard {
namespace {

using test::LoadedKernel;
using test::LongMatrix;

class RandomPivotsTest : public testing::Test {
 protected:
  Workers workers_{2};
  ComputeContext context_{.workers = workers_};
};

// What is left of s after elimination of the pivots, in long double.
LongMatrix Eliminate(LongMatrix s, const std::vector<Index>& pivots) {
  for (const Index pivot : pivots) {
    const auto p = static_cast<std::size_t>(pivot);
    const std::vector<long double> row = s[p];
    for (std::size_t i = 0; i < s.size(); ++i) {
      for (std::size_t j = 0; j < s.size(); ++j) {
        s[i][j] -= row[i] * row[j] / row[p];
      }
    }
  }
  return s;
}

TEST_F(RandomPivotsTest, IsTheCholeskyFactorOfItsPivots) {
  // No ridge, or one that is nothing beside e^{s|a|^2} of a long row; no rest
  // after the only row.
  const std::set<std::string> wide = {"NoRidge", "Unscaled", "ZeroRows",
                                      "HugeRow", "One"};
  for (const test::PreconditionerCase& c : test::AwkwardKernels()) {
    SCOPED_TRACE(c.name);
    const LoadedKernel kernel(c.a, c.options, context_);
    const Index n = kernel.n();
    RandomPivots pivots(kernel.Source());
    const Index rank = std::max<Index>(1, n / 4);
    ASSERT_TRUE(pivots.Grow(rank, context_).ok());
    ASSERT_GE(pivots.columns(), std::min<Index>(rank, pivots.columns()));
    const LongMatrix whole =
        test::DenseForm(kernel.problem.rows(), kernel.problem.form(), false);
    const std::vector<Index> taken(
        pivots.pivots().begin(),
        pivots.pivots().begin() + std::min(rank, pivots.columns()));
    const LongMatrix left = Eliminate(whole, taken);
    const auto used = static_cast<Index>(taken.size());
    const FactorColumns factor = pivots.Factor(used);
    std::vector<double> f(static_cast<std::size_t>(used * n));
    factor.CopyPart(0, used, 0, n, f.data());
    const std::vector<double> rest = pivots.Rest(used);
    // Rounding errors of E and of the elimination, in units of the smallest
    // pivot: at least 1e-4 here. In float32 what the rule says of P,
    // and what squares of rounded numbers are off by.
    double longest = 1.0;
    for (const double q : kernel.problem.rows().centred_square) {
      longest = std::max(longest, q);
    }
    const bool narrow = factor.IsFloat32(0, used);
    EXPECT_EQ(narrow, wide.find(c.name) == wide.end()) << c.name;
    const double bound =
        narrow ? 0x1p-24 * (4.0 + std::sqrt(static_cast<double>(n * used)))
               : test::Gamma(16 * n) * longest * 1e4;
    for (Index i = 0; i < n; ++i) {
      const auto at = static_cast<std::size_t>(i);
      EXPECT_NEAR(rest[at], static_cast<double>(left[at][at]), bound);
      EXPECT_GE(rest[at], 0.0);
      for (Index j = 0; j < n; ++j) {
        long double sum = left[at][static_cast<std::size_t>(j)];
        for (Index t = 0; t < used; ++t) {
          sum += f[static_cast<std::size_t>(t * n + i)] *
                 f[static_cast<std::size_t>(t * n + j)];
        }
        EXPECT_NEAR(static_cast<double>(sum),
                    static_cast<double>(whole[at][static_cast<std::size_t>(j)]),
                    bound);
      }
    }
  }
}

TEST_F(RandomPivotsTest, GrownInStepsIsGrownAtOnce) {
  const LoadedKernel kernel(
      test::RowsOfNorm(700, 4, 2.0, 1),
      test::KernelOptionsOf(KernelNormalization::kUnitDiagonal, 1e-3),
      context_);
  RandomPivots at_once(kernel.Source());
  ASSERT_TRUE(at_once.Grow(200, context_).ok());
  RandomPivots in_steps(kernel.Source());
  for (const Index rank : {1, 10, 11, 90}) {
    ASSERT_TRUE(in_steps.Grow(rank, context_).ok());
    // A stop in between leaves no trace.
    StopSource source;
    source.StopAtLook(3);
    const ComputeContext stopped{.workers = workers_, .stop = source.token()};
    EXPECT_EQ(in_steps.Grow(200, stopped).code(), absl::StatusCode::kCancelled);
  }
  ASSERT_TRUE(in_steps.Grow(200, context_).ok());
  EXPECT_EQ(in_steps.pivots(), at_once.pivots());
  EXPECT_GE(at_once.columns(), 200);
  EXPECT_LE(at_once.columns(), 327);
  for (const Index rank : {1, 150, 200}) {
    std::vector<double> one(static_cast<std::size_t>(rank * 700));
    std::vector<double> other = one;
    at_once.Factor(rank).CopyPart(0, rank, 0, 700, one.data());
    in_steps.Factor(rank).CopyPart(0, rank, 0, 700, other.data());
    EXPECT_EQ(one, other);
    EXPECT_EQ(at_once.Rest(rank), in_steps.Rest(rank));
  }
}

TEST_F(RandomPivotsTest, EndsWhereNothingIsLeft) {
  // 30 different rows, ten times each.
  Matrix<double> a = test::RowsOfNorm(300, 5, 2.0, 1);
  for (Index i = 30; i < 300; ++i) test::CopyRow(a, i % 30, i);
  const LoadedKernel kernel(
      a, test::KernelOptionsOf(KernelNormalization::kNone, 1e-3), context_);
  RandomPivots pivots(kernel.Source());
  ASSERT_TRUE(pivots.Grow(300, context_).ok());
  EXPECT_TRUE(pivots.complete());
  EXPECT_EQ(pivots.columns(), 30);
  EXPECT_FALSE(pivots.Factor(30).IsFloat32(0, 30));
  std::set<Index> different;
  for (const Index pivot : pivots.pivots()) different.insert(pivot % 30);
  EXPECT_EQ(different.size(), 30u);
}

TEST_F(RandomPivotsTest, RowsOfNoImportanceAreNotDrawn) {
  const LoadedKernel kernel(
      test::RowsOfNorm(60, 5, 3.0, 1),
      test::KernelOptionsOf(KernelNormalization::kUnitDiagonal, 1e-3),
      context_);
  std::vector<double> importance(60, 0.0);
  for (std::size_t i = 0; i < 60; i += 3) importance[i] = 1.0;
  RandomPivots pivots(kernel.Source(), importance);
  ASSERT_TRUE(pivots.Grow(60, context_).ok());
  EXPECT_EQ(pivots.columns(), 20);
  EXPECT_TRUE(pivots.complete());
  for (const Index pivot : pivots.pivots()) EXPECT_EQ(pivot % 3, 0);
}

// Kernels that float32 is hard on, of 200 rows.
std::vector<test::PreconditionerCase> HardKernels(double ridge) {
  constexpr auto kUnit = KernelNormalization::kUnitDiagonal;
  constexpr Index kRows = 200;
  std::vector<test::PreconditionerCase> cases;
  const auto add = [&](std::string name, Matrix<double> a,
                       KernelNormalization kind) {
    cases.push_back(
        {std::move(name), std::move(a), test::KernelOptionsOf(kind, ridge)});
  };
  const Matrix<double> smooth = test::RowsOfNorm(kRows, 2, 1.5, 1);
  const Matrix<double> plain = test::RowsOfNorm(kRows, 6, 2.0, 1);
  add("Smooth", smooth, kUnit);
  add("Plain", plain, kUnit);
  add("Unscaled", plain, KernelNormalization::kNone);
  add("Softmax", plain, KernelNormalization::kSoftmaxRows);
  Matrix<double> twins = plain;
  for (Index i = 20; i < kRows; ++i) test::CopyRow(twins, i % 20, i);
  add("Twins", twins, kUnit);
  Matrix<double> nearly = twins;
  for (Index i = 0; i < nearly.size(); ++i) {
    nearly.data()[i] += 1e-4 * std::sin(static_cast<double>(i));
  }
  add("NearTwins", nearly, kUnit);
  Matrix<double> uneven = test::RowsOfNorm(kRows, 6, 1.0, 1);
  for (Index i = 0; i < kRows; ++i) {
    const double length = std::pow(10.0, static_cast<double>(i % 31) / 15 - 1);
    for (Index c = 0; c < 6; ++c) uneven(i, c) *= length;
  }
  add("Uneven", uneven, kUnit);
  Matrix<double> huge = plain;
  for (Index c = 0; c < 6; ++c) huge(7, c) *= 1e3;
  add("Huge", huge, kUnit);
  return cases;
}

// Steps to 1e-8 with a factor that may be float32, or is float64 throughout;
// the most where r'P^-1 r or p'Sp is not positive.
int StepsWith(FactorPrecision least, Index rank,
              const PreconditionerSource& source,
              const ComputeContext& context) {
  constexpr int kStepsMax = 100;
  RandomPivots pivots(source, {}, least);
  EXPECT_TRUE(pivots.Grow(rank, context).ok());
  const auto made = MakeRpCholesky(pivots, rank, source, context);
  EXPECT_TRUE(made.ok());
  Probe probe(source);
  EXPECT_EQ(probe.Add(**made, context).value(), 0);
  int steps = 0;
  while (steps < kStepsMax && probe.run(0).residuals.back() > 1e-8) {
    EXPECT_TRUE(probe.Step({0}, context).ok());
    if (probe.run(0).broken) return kStepsMax;
    ++steps;
  }
  return steps;
}

TEST_F(RandomPivotsTest, Float32TakesNoMoreSteps) {
  int narrow = 0;
  for (const double ridge : {0.0, 1.6e-5, 1e-4, 1e-2, 1.0}) {
    for (const test::PreconditionerCase& c : HardKernels(ridge)) {
      const LoadedKernel kernel(c.a, c.options, context_);
      const PreconditionerSource source = kernel.Source();
      for (const Index rank : {20, 80}) {
        SCOPED_TRACE(c.name + " " + std::to_string(ridge) + " " +
                     std::to_string(rank));
        narrow += PrecisionOfFactor(KernelPreconditioner::kRpCholesky, rank,
                                    source) == FactorPrecision::kFloat32;
        const int wide =
            StepsWith(FactorPrecision::kFloat64, rank, source, context_);
        EXPECT_LE(StepsWith(FactorPrecision::kFloat32, rank, source, context_),
                  1.2 * wide + 2.0);
      }
    }
  }
  // Most of these have a ridge that hides float32.
  EXPECT_GE(narrow, 40);
}

// Pivots of probability rest / sum(rest), the second under the condition of
// the first: chi-squared over all ordered pairs of 5 rows of unlike weight.
TEST_F(RandomPivotsTest, PivotsHaveTheirProbabilities) {
  Matrix<double> a(5, 1);
  for (Index i = 0; i < 5; ++i) a(i, 0) = 0.4 * static_cast<double>(i * i);
  // Small h: ruled by the ridge, of little weight.
  const LoadedKernel kernel(
      a, test::KernelOptionsOf(KernelNormalization::kNone, 20.0), context_);
  const LongMatrix whole =
      test::DenseForm(kernel.problem.rows(), kernel.problem.form(), false);
  constexpr int kDraws = 20000;
  Matrix<double> counts(5, 5);
  for (int draw = 0; draw < kDraws; ++draw) {
    RandomPivots pivots(kernel.Source(static_cast<std::uint64_t>(draw)));
    ASSERT_TRUE(pivots.Grow(2, context_).ok());
    ASSERT_GE(pivots.columns(), 2);
    counts(pivots.pivots()[0], pivots.pivots()[1]) += 1.0;
  }
  double chi = 0.0;
  const auto trace = [](const LongMatrix& m) {
    long double sum = 0.0L;
    for (std::size_t i = 0; i < m.size(); ++i) sum += m[i][i];
    return sum;
  };
  for (std::size_t i = 0; i < 5; ++i) {
    const LongMatrix left = Eliminate(whole, {static_cast<Index>(i)});
    for (std::size_t j = 0; j < 5; ++j) {
      if (i == j) continue;
      const double expected = static_cast<double>(
          kDraws * whole[i][i] / trace(whole) * left[j][j] / trace(left));
      const double seen = counts(static_cast<Index>(i), static_cast<Index>(j));
      chi += (seen - expected) * (seen - expected) / expected;
    }
  }
  // 19 degrees of freedom: above 63 once in a million seeds.
  EXPECT_LT(chi, 63.0);
}

}  // namespace
}  // namespace steelyard
