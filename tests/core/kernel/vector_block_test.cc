#include "kernel/vector_block.h"

#include <cmath>

#include "gtest/gtest.h"
#include "kernel/certificate.h"
#include "tests/support/kernel_cases.h"

namespace steelyard {
namespace {

class VectorBlockTest : public testing::Test {
 protected:
  // Two panels.
  static constexpr Index kN = kVectorPanel + 100;
  Workers workers_{2};
};

TEST_F(VectorBlockTest, GramAndCombinationsAgreeWithSums) {
  const Matrix<double> a = test::RowsOfNorm(3, kN, 1.0, 1);
  Matrix<double> b = test::RowsOfNorm(2, kN, 1.0, 2);
  const Matrix<double> gram = GramOf(a, b, workers_);
  for (Index i = 0; i < 3; ++i) {
    for (Index j = 0; j < 2; ++j) {
      long double sum = 0.0L;
      for (Index t = 0; t < kN; ++t) {
        sum += static_cast<long double>(a(i, t)) * b(j, t);
      }
      // |a||b| is about 1; a random walk of n roundings would be far less.
      EXPECT_NEAR(gram(i, j), static_cast<double>(sum),
                  static_cast<double>(kN) * kUnitRoundoff);
    }
  }
  const Matrix<double> t = test::RowsOfNorm(2, 3, 1.0, 3);
  const Matrix<double> before = b;
  AddCombinations(t, a, b, workers_);
  for (const Index i : {Index{0}, kVectorPanel, kN - 1}) {
    for (Index c = 0; c < 2; ++c) {
      double sum = before(c, i);
      for (Index j = 0; j < 3; ++j) sum += t(c, j) * a(j, i);
      EXPECT_NEAR(b(c, i), sum, 8.0 * kUnitRoundoff);
    }
  }
}

TEST_F(VectorBlockTest, DependentRowsAreDroppedAndTheRestIsOrthonormal) {
  Matrix<double> d = test::RowsOfNorm(6, kN, 1.0, 4);
  for (Index i = 0; i < kN; ++i) {
    d(1, i) *= 1e-100;                        // short, but a direction
    d(2, i) = 0.0;                            // none
    d(4, i) = 3.0 * d(0, i) - 7.0 * d(3, i);  // in the span of others
    d(5, i) = d(0, i) + 1e-3 * d(5, i);       // nearly so
  }
  const OrthonormalRows out = Orthonormalise(d, workers_);
  ASSERT_EQ(out.rows.rows(), 4);
  const Matrix<double> gram = GramOf(out.rows, out.rows, workers_);
  for (Index i = 0; i < 4; ++i) {
    for (Index j = 0; j < 4; ++j) {
      EXPECT_NEAR(gram(i, j), i == j ? 1.0 : 0.0, 1e-13);
    }
  }
  // Row 4 lies in what they span.
  Matrix<double> row = TakeRows(d, {4}, workers_);
  Matrix<double> back = GramOf(row, out.rows, workers_);
  for (Index j = 0; j < 4; ++j) back(0, j) *= -1.0;
  AddCombinations(back, out.rows, row, workers_);
  EXPECT_LT(std::sqrt(GramOf(row, row, workers_)(0, 0)), 1e-9);
}

TEST_F(VectorBlockTest, PositiveSystemsAreSolvedAndOthersRefused) {
  Matrix<double> a(2, 2);
  a(0, 0) = 4.0;
  a(0, 1) = a(1, 0) = 2.0;
  a(1, 1) = 3.0;
  Matrix<double> b(2, 1);
  b(0, 0) = 8.0;
  b(1, 0) = 8.0;
  ASSERT_TRUE(SolvePositive(a, 1e-16, b));
  EXPECT_NEAR(b(0, 0), 1.0, 1e-15);
  EXPECT_NEAR(b(1, 0), 2.0, 1e-15);
  a(1, 1) = 1.0;  // pivot 0
  EXPECT_FALSE(SolvePositive(a, 1e-16, b));
  a(1, 1) = std::nan("");
  EXPECT_FALSE(SolvePositive(a, 1e-16, b));
  EXPECT_NEAR(b(1, 0), 2.0, 1e-15);
}

TEST_F(VectorBlockTest, BitsDoNotDependOnWorkers) {
  const Workers one(1);
  const Matrix<double> d = test::RowsOfNorm(5, kN, 1.0, 6);
  const Matrix<double> a = Orthonormalise(d, workers_).rows;
  const Matrix<double> b = Orthonormalise(d, one).rows;
  ASSERT_EQ(a.size(), b.size());
  for (Index i = 0; i < a.size(); ++i) ASSERT_EQ(a.data()[i], b.data()[i]);
}

}  // namespace
}  // namespace steelyard
