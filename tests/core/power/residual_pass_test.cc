#include "power/residual_pass.h"

#include <gtest/gtest.h>

#include "linalg/double_double.h"
#include "tests/support/bounds.h"
#include "tests/support/matrices.h"

namespace steelyard::test {
namespace {

struct Problem {
  StoredMatrix<float> a;
  Matrix<double> b;
  Matrix<double> z;
  ScaledMatrix scaled_a;
  ScaledRightSides scaled_b;

  // b has two columns more than z: the slice is its middle.
  Problem(Index n, Index d, Index k)
      : a(Stored<float>(NormalMatrix(n, d, Seed{1}))),
        b(NormalMatrix(n, k + 2, Seed{2})),
        z(NormalMatrix(d, k, Seed{3})),
        scaled_a{a.view(), std::vector<int>(static_cast<std::size_t>(d), 1)},
        scaled_b{b.view(),
                 std::vector<int>(static_cast<std::size_t>(k + 2), 2)} {}

  PassInput Input() const {
    return {.a = scaled_a,
            .b = ColumnSlice{scaled_b, 1, z.cols()},
            .z_hi = &z,
            .k = z.cols()};
  }

  // A'(b - A z) in scalar double-double, entry (i, c).
  DoubleDouble Exact(Index i, Index c) const {
    DoubleDouble sum;
    for (Index row = 0; row < a.rows(); ++row) {
      DoubleDouble r{std::ldexp(b(row, c + 1), -2), 0.0};
      for (Index j = 0; j < a.cols(); ++j) {
        r = Subtract(r, TwoProduct(std::ldexp(a(row, j), -1), z(j, c)));
      }
      sum = Add(sum, Multiply(std::ldexp(a(row, i), -1), r));
    }
    return sum;
  }
};

class ResidualPassTest : public testing::TestWithParam<Index> {
 protected:
  Workers one_{1};
  Workers three_{3};
};

INSTANTIATE_TEST_SUITE_P(RightSides, ResidualPassTest, testing::Values(1, 3));

TEST_P(ResidualPassTest, DoubleDoubleAgreesWithScalarDoubleDouble) {
  const Problem problem(1100, 9, GetParam());
  const auto pass =
      ResidualPass(problem.Input(), Precision::kDoubleDouble, {one_});
  ASSERT_TRUE(pass.ok()) << pass.status();
  const auto plain = ResidualPass(problem.Input(), Precision::kDouble, {one_});
  ASSERT_TRUE(plain.ok()) << plain.status();
  // Sums of 1100 numbers, some 5 in size, from sums of 10.
  const double size = 1100.0 * 25.0;
  for (Index i = 0; i < 9; ++i) {
    for (Index c = 0; c < GetParam(); ++c) {
      const DoubleDouble exact = problem.Exact(i, c);
      EXPECT_NEAR(Subtract({pass->hi(i, c), pass->lo(i, c)}, exact).hi, 0.0,
                  0x1p-100 * size);
      EXPECT_NEAR(plain->hi(i, c), exact.hi, Gamma(600) * size);
    }
  }
  for (std::size_t c = 0; c < pass->squares.size(); ++c) {
    EXPECT_NEAR(pass->squares[c], plain->squares[c],
                Gamma(1100) * pass->squares[c]);
  }
}

TEST_P(ResidualPassTest, SameBitsForAnyNumberOfWorkers) {
  const Problem problem(3000, 17, GetParam());
  for (const Precision by : {Precision::kDouble, Precision::kDoubleDouble}) {
    const auto one = ResidualPass(problem.Input(), by, {one_});
    const auto three = ResidualPass(problem.Input(), by, {three_});
    ASSERT_TRUE(one.ok() && three.ok());
    for (Index e = 0; e < one->hi.size(); ++e) {
      EXPECT_EQ(one->hi.data()[e], three->hi.data()[e]);
      EXPECT_EQ(one->lo.data()[e], three->lo.data()[e]);
    }
    EXPECT_EQ(one->squares, three->squares);
  }
}

TEST_P(ResidualPassTest, StopsBetweenBlocks) {
  const Problem problem(3000, 17, GetParam());
  StopSource source;
  source.StopAtLook(3);
  const auto pass =
      ResidualPass(problem.Input(), Precision::kDouble, {one_, source.token()});
  EXPECT_EQ(pass.status().code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace steelyard::test
