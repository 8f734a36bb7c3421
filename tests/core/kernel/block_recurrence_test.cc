#include "kernel/block_recurrence.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "gtest/gtest.h"
#include "tests/support/kernel_problems.h"

namespace steelyard {
namespace {

// Divides by 1 + i / n: a symmetric positive definite scaling.
class Slope : public Preconditioner {
 public:
  KernelPreconditioner kind() const override {
    return KernelPreconditioner::kNone;
  }
  Index rank() const override { return 0; }
  std::int64_t bytes() const override { return 0; }
  std::string Describe() const override { return "slope"; }
  absl::Status Apply(Matrix<double>& v, const ComputeContext&) const override {
    for (Index c = 0; c < v.rows(); ++c) {
      for (Index i = 0; i < v.cols(); ++i) {
        v(c, i) /= 1.0 + static_cast<double>(i) / static_cast<double>(v.cols());
      }
    }
    return absl::OkStatus();
  }
};

class BlockRecurrenceTest : public testing::Test {
 protected:
  static constexpr Index kN = 150;
  KernelProblem Load(Index k) {
    return test::LoadProblem(
        test::RowsOfNorm(kN, 6, 1.5, 1), test::RowsOfNorm(kN, k, 1.0, 2),
        {.normalization = KernelNormalization::kUnitDiagonal, .ridge = 0.02},
        context_);
  }

  // Steps until every row is below `goal` of where it began.
  int StepsTo(const KernelProblem& problem, const Matrix<double>& c,
              double goal, const Preconditioner* preconditioner,
              Matrix<double>& z) {
    KernelProduct product = test::ProductOf(problem);
    ScaledSystem system(problem.rows(), problem.form(), product);
    BlockRecurrence recurrence(system, preconditioner, context_);
    z = Matrix<double>(c.rows(), kN);
    EXPECT_TRUE(recurrence.Restart(c).ok());
    const std::vector<double> start = recurrence.norms();
    for (int step = 1; step <= 200; ++step) {
      const auto stepped = recurrence.Step(TilePrecision::kFloat64, z);
      if (!stepped.ok() || !*stepped) break;
      bool all = true;
      for (std::size_t i = 0; i < start.size(); ++i) {
        all &= recurrence.norms()[i] <= goal * start[i];
      }
      if (all) return step;
    }
    return 1000;
  }

  // Largest |c - S z| / |c| of a row.
  double Residual(const KernelProblem& problem, const Matrix<double>& c,
                  const Matrix<double>& z) {
    KernelProduct product = test::ProductOf(problem);
    ScaledSystem system(problem.rows(), problem.form(), product);
    Matrix<double> sz(c.rows(), kN);
    EXPECT_TRUE(system.Apply(z, TilePrecision::kFloat64, sz, context_).ok());
    double worst = 0.0;
    for (Index row = 0; row < c.rows(); ++row) {
      double square = 0.0;
      double size = 0.0;
      for (Index i = 0; i < kN; ++i) {
        square += std::pow(c(row, i) - sz(row, i), 2);
        size += c(row, i) * c(row, i);
      }
      worst = std::max(worst, std::sqrt(square / size));
    }
    return worst;
  }

  Workers workers_{2};
  ComputeContext context_{.workers = workers_};
};

TEST_F(BlockRecurrenceTest, TogetherTheyNeedFewerSteps) {
  const KernelProblem problem = Load(8);
  const Matrix<double> c = ScaleRightHandSides(problem, context_).c;
  const Slope slope;
  for (const Preconditioner* preconditioner :
       {static_cast<const Preconditioner*>(nullptr),
        static_cast<const Preconditioner*>(&slope)}) {
    Matrix<double> z;
    const int together = StepsTo(problem, c, 1e-8, preconditioner, z);
    EXPECT_LE(Residual(problem, c, z), 2e-8);
    int alone = 0;
    for (Index column = 0; column < 8; ++column) {
      Matrix<double> one(1, kN);
      std::copy(c.row(column), c.row(column) + kN, one.data());
      alone = std::max(alone, StepsTo(problem, one, 1e-8, preconditioner, z));
      EXPECT_LE(Residual(problem, one, z), 2e-8);
    }
    EXPECT_LT(together, alone / 2);
  }
}

TEST_F(BlockRecurrenceTest, EqualAndZeroAndFoundSidesBreakNothing) {
  const KernelProblem problem = Load(4);
  Matrix<double> c = ScaleRightHandSides(problem, context_).c;
  for (Index i = 0; i < kN; ++i) {
    c(1, i) = -2.0 * c(0, i);
    c(2, i) = i == 0 ? 1e-12 : 0.0;
  }
  Matrix<double> z;
  EXPECT_LT(StepsTo(problem, c, 1e-9, nullptr, z), 200);
  EXPECT_LE(Residual(problem, c, z), 1e-8);
}

TEST_F(BlockRecurrenceTest, ARecomputedResidualKeepsTheDirections) {
  const KernelProblem problem = Load(1);
  const Matrix<double> c = ScaleRightHandSides(problem, context_).c;
  Matrix<double> z;
  const int plain = StepsTo(problem, c, 1e-8, nullptr, z);
  KernelProduct product = test::ProductOf(problem);
  ScaledSystem system(problem.rows(), problem.form(), product);
  BlockRecurrence recurrence(system, nullptr, context_);
  z = Matrix<double>(1, kN);
  ASSERT_TRUE(recurrence.Restart(c).ok());
  const double goal = 1e-8 * recurrence.norms()[0];
  int steps = 0;
  while (steps < 200 && recurrence.norms()[0] > goal) {
    ASSERT_TRUE(recurrence.Step(TilePrecision::kFloat64, z).ok());
    if (++steps % 5 != 0) continue;
    Matrix<double> r(1, kN);
    ASSERT_TRUE(system.Apply(z, TilePrecision::kFloat64, r, context_).ok());
    for (Index i = 0; i < kN; ++i) r(0, i) = c(0, i) - r(0, i);
    ASSERT_TRUE(recurrence.Restart(std::move(r)).ok());
  }
  // From scratch every five steps it would be several times as many.
  EXPECT_LE(steps, plain + plain / 4);
}

TEST_F(BlockRecurrenceTest, RitzValuesAreThoseOfOneVectorInCompanyToo) {
  const KernelProblem problem = Load(5);
  const Matrix<double> c = ScaleRightHandSides(problem, context_).c;
  for (const Index k : {1, 5}) {
    KernelProduct product = test::ProductOf(problem);
    ScaledSystem system(problem.rows(), problem.form(), product);
    BlockRecurrence recurrence(system, nullptr, context_);
    Matrix<double> part(k, kN);
    std::copy(c.row(0), c.row(0) + k * kN, part.data());
    Matrix<double> z(k, kN);
    ASSERT_TRUE(recurrence.Restart(part).ok());
    for (int step = 0; step < 20; ++step) {
      ASSERT_TRUE(recurrence.Step(TilePrecision::kFloat64, z).ok());
    }
    const RitzValues ritz = FindRitzValues(recurrence.lanczos());
    // S has eigenvalues in [l / (1 + l), n].
    EXPECT_GE(ritz.least, 0.99 * 0.02 / 1.02);
    EXPECT_LT(ritz.least, 0.1);
    EXPECT_LE(ritz.largest, static_cast<double>(kN));
    EXPECT_GT(ritz.largest, 1.0);
  }
}

}  // namespace
}  // namespace steelyard
