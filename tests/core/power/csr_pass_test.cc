#include "power/csr_pass.h"

#include <gtest/gtest.h>

#include "linalg/double_double.h"
#include "tests/core/sparse/sparse_matrix.h"
#include "tests/support/allocation_peak.h"
#include "tests/support/bounds.h"

namespace steelyard::test {
namespace {

struct Problem {
  SparseMatrix<float> a;
  Matrix<double> dense;
  Matrix<double> b;
  Matrix<double> z;
  ScaledMatrix scaled_a;
  ScaledRightSides scaled_b;

  // b has two columns more than z: the slice is its middle.
  Problem(Index n, Index d, Index k, double density = 0.3)
      : a(SparseOf<float>(SparseNumbers(n, d, density, 1.0, Seed{1}), true)),
        dense(a.Dense()),
        b(NormalMatrix(n, k + 2, Seed{2})),
        z(NormalMatrix(d, k, Seed{3})),
        scaled_a{AnyCsrView(a.view()),
                 std::vector<int>(static_cast<std::size_t>(d), 1)},
        scaled_b{b.view(),
                 std::vector<int>(static_cast<std::size_t>(k + 2), 2)} {}

  PassInput Input() const {
    return {.a = scaled_a,
            .b = ColumnSlice{scaled_b, 1, z.cols()},
            .z_hi = &z,
            .k = z.cols()};
  }
};

class CsrPassTest : public testing::TestWithParam<Index> {
 protected:
  Workers one_{1};
  Workers three_{3};
};

INSTANTIATE_TEST_SUITE_P(RightSides, CsrPassTest, testing::Values(1, 3, 9));

TEST_P(CsrPassTest, EqualsThePassOverTheDenseMatrix) {
  const Problem problem(1100, 9, GetParam());
  ScaledMatrix dense{AnyMatrixView(problem.dense.view()),
                     problem.scaled_a.exponents};
  const PassInput over_dense{.a = dense,
                             .b = ColumnSlice{problem.scaled_b, 1, GetParam()},
                             .z_hi = &problem.z,
                             .k = GetParam()};
  for (const Precision by : {Precision::kDouble, Precision::kDoubleDouble}) {
    const auto pass = ResidualPass(problem.Input(), by, {one_});
    ASSERT_TRUE(pass.ok()) << pass.status();
    const auto expected = ResidualPass(over_dense, by, {one_});
    ASSERT_TRUE(expected.ok());
    // Sums of 1100 numbers, some 5 in size, from sums of 10.
    const double size = 1100.0 * 25.0;
    const double unit = by == Precision::kDouble ? Gamma(1200) : 0x1p-99;
    for (Index i = 0; i < 9; ++i) {
      for (Index c = 0; c < GetParam(); ++c) {
        const DoubleDouble difference =
            Subtract({pass->hi(i, c), pass->lo(i, c)},
                     {expected->hi(i, c), expected->lo(i, c)});
        EXPECT_NEAR(difference.hi, 0.0, unit * size);
      }
    }
    for (std::size_t c = 0; c < pass->squares.size(); ++c) {
      EXPECT_NEAR(pass->squares[c], expected->squares[c],
                  Gamma(1200) * pass->squares[c]);
    }
  }
}

TEST_P(CsrPassTest, WithoutBAndWithALowPartOfZ) {
  const Problem problem(900, 9, GetParam());
  Matrix<double> low = NormalMatrix(9, GetParam(), Seed{5});
  for (Index e = 0; e < low.size(); ++e) low.data()[e] *= 0x1p-55;
  PassInput input = problem.Input();
  input.b.reset();
  const auto without = ResidualPass(input, Precision::kDoubleDouble, {one_});
  input.z_lo = &low;
  const auto with = ResidualPass(input, Precision::kDoubleDouble, {one_});
  ASSERT_TRUE(without.ok() && with.ok());
  for (Index c = 0; c < GetParam(); ++c) {
    DoubleDouble expected;  // column 0 of A'A (-low)
    for (Index row = 0; row < 900; ++row) {
      double product = 0.0;
      for (Index j = 0; j < 9; ++j) {
        product -= 0.5 * problem.dense(row, j) * low(j, c);
      }
      expected =
          Add(expected, TwoProduct(0.5 * problem.dense(row, 0), product));
    }
    const DoubleDouble difference =
        Subtract({with->hi(0, c), with->lo(0, c)},
                 {without->hi(0, c), without->lo(0, c)});
    EXPECT_NEAR(difference.hi, expected.hi, 0x1p-99 * 900.0 * 25.0);
  }
}

TEST_P(CsrPassTest, SameBitsForAnyNumberOfWorkersAndBesideOtherColumns) {
  const Problem problem(60000, 17, GetParam(), 0.1);
  const Problem alone(60000, 17, 1, 0.1);
  for (const Precision by : {Precision::kDouble, Precision::kDoubleDouble}) {
    const auto one = ResidualPass(problem.Input(), by, {one_});
    const auto three = ResidualPass(problem.Input(), by, {three_});
    ASSERT_TRUE(one.ok() && three.ok());
    for (Index e = 0; e < one->hi.size(); ++e) {
      EXPECT_EQ(one->hi.data()[e], three->hi.data()[e]);
      EXPECT_EQ(one->lo.data()[e], three->lo.data()[e]);
    }
    EXPECT_EQ(one->squares, three->squares);
    Matrix<double> first(17, 1);
    for (Index i = 0; i < 17; ++i) first(i, 0) = problem.z(i, 0);
    PassInput input = problem.Input();
    input.b = ColumnSlice{problem.scaled_b, 1, 1};
    input.z_hi = &first;
    input.k = 1;
    const auto single = ResidualPass(input, by, {three_});
    ASSERT_TRUE(single.ok());
    for (Index i = 0; i < 17; ++i) {
      EXPECT_EQ(single->hi(i, 0), one->hi(i, 0));
      EXPECT_EQ(single->lo(i, 0), one->lo(i, 0));
    }
    EXPECT_EQ(single->squares[0], one->squares[0]);
  }
}

TEST_P(CsrPassTest, StopsBetweenBlocks) {
  const Problem problem(60000, 17, GetParam(), 0.1);
  StopSource source;
  source.StopAtLook(3);
  const auto pass =
      ResidualPass(problem.Input(), Precision::kDouble, {one_, source.token()});
  EXPECT_EQ(pass.status().code(), absl::StatusCode::kCancelled);
}

TEST_P(CsrPassTest, MemoryIsWithinItsBound) {
  const Problem problem(60000, 17, GetParam(), 0.1);
  for (const Precision by : {Precision::kDouble, Precision::kDoubleDouble}) {
    const AllocationPeak peak;
    ASSERT_TRUE(ResidualPass(problem.Input(), by, {three_}).ok());
    EXPECT_LE(
        static_cast<double>(peak.bytes()),
        BytesOfCsrPass(60000, 17, problem.a.view().nonzeros(), GetParam(), 3) +
            16384.0);
  }
}

}  // namespace
}  // namespace steelyard::test
