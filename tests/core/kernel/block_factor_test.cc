#include "kernel/block_factor.h"

#include <cmath>
#include <numeric>

#include "gtest/gtest.h"
#include "tests/support/kernel_problems.h"

namespace steelyard {
namespace {

template <typename T>
class BlockFactorTest : public testing::Test {
 protected:
  // Two tiles of 256 and a part of one.
  static constexpr Index kSize = 530;

  KernelProblem Load(const Matrix<double>& a, double ridge) const {
    return test::LoadProblem(
        a, test::RowsOfNorm(a.rows(), 1, 1.0, 2),
        {.normalization = KernelNormalization::kUnitDiagonal, .ridge = ridge},
        context_);
  }

  static std::vector<Index> All() {
    std::vector<Index> block(kSize);
    std::iota(block.begin(), block.end(), Index{0});
    return block;
  }

  // max_i |((S + e I) x - v)_i| for the x that the factor finds.
  double ResidualOf(const BlockRows& rows, const BlockFactor<T>& factor,
                    double damping) const {
    const Matrix<double> v = test::RowsOfNorm(kSize, 2, 1.0, 3);
    Matrix<T> x(kSize, 2);
    for (Index i = 0; i < x.size(); ++i) {
      x.data()[i] = static_cast<T>(v.data()[i]);
    }
    EXPECT_TRUE(factor.Solve(x, context_).ok());
    const Matrix<double> s = rows.Square<double>(All(), context_).value();
    double worst = 0.0;
    for (Index c = 0; c < 2; ++c) {
      for (Index i = 0; i < kSize; ++i) {
        double sum = damping * static_cast<double>(x(i, c)) - v(i, c);
        for (Index j = 0; j < kSize; ++j) {
          sum +=
              s(std::min(i, j), std::max(i, j)) * static_cast<double>(x(j, c));
        }
        worst = std::max(worst, std::abs(sum));
      }
    }
    return worst;
  }

  static constexpr double kUnit = std::numeric_limits<T>::epsilon() / 2.0;
  Workers workers_{2};
  ComputeContext context_{.workers = workers_};
};

using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(BlockFactorTest, Scalars);

TYPED_TEST(BlockFactorTest, SolvesTheDampedBlock) {
  const KernelProblem problem =
      this->Load(test::RowsOfNorm(this->kSize, 6, 1.5, 1), 0.1);
  const BlockRows rows(problem.rows(), problem.form());
  double damping = 0.0;
  const auto factor =
      BlockFactor<TypeParam>::Make(rows, this->All(), damping, this->context_);
  ASSERT_TRUE(factor.ok()) << factor.status();
  // No more than the rounding asks for.
  EXPECT_EQ(damping, 8.0 * this->kUnit * std::sqrt(530.0));
  // |x| <= |v| / 0.09, |S| <= 530: Higham 10.3, with n u for (n + 1) u.
  EXPECT_LE(this->ResidualOf(rows, *factor, damping),
            this->kUnit * 530.0 * 530.0 / 0.09);
  EXPECT_GT(factor->least_pivot(), 0.09);
  EXPECT_LE(factor->least_pivot(), 1.0 + damping);
}

TYPED_TEST(BlockFactorTest, ASingularBlockIsDampedAndSolved) {
  Matrix<double> a = test::RowsOfNorm(this->kSize, 3, 0.2, 1);
  for (Index i = 0; i < 265; ++i) test::CopyRow(a, i, 529 - i);
  const KernelProblem problem = this->Load(a, 0.0);
  const BlockRows rows(problem.rows(), problem.form());
  double damping = 0.0;
  const auto factor =
      BlockFactor<TypeParam>::Make(rows, this->All(), damping, this->context_);
  ASSERT_TRUE(factor.ok()) << factor.status();
  EXPECT_GT(damping, 0.0);
  // |x| <= |v| / damping.
  EXPECT_LE(this->ResidualOf(rows, *factor, damping),
            this->kUnit * 530.0 * 530.0 / damping);
}

TYPED_TEST(BlockFactorTest, IsStoppedBetweenTiles) {
  const KernelProblem problem =
      this->Load(test::RowsOfNorm(this->kSize, 6, 1.5, 1), 0.1);
  const BlockRows rows(problem.rows(), problem.form());
  StopSource source;
  source.RequestStop(StopReason::kCancelled);
  double damping = 0.0;
  const auto factor = BlockFactor<TypeParam>::Make(
      rows, this->All(), damping,
      {.workers = this->workers_, .stop = source.token()});
  EXPECT_TRUE(absl::IsCancelled(factor.status()));
}

}  // namespace
}  // namespace steelyard
