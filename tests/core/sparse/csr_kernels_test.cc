#include "sparse/csr_kernels.h"

#include <gtest/gtest.h>

#include "linalg/double_double.h"
#include "tests/core/sparse/sparse_matrix.h"
#include "tests/support/bounds.h"
#include "tests/support/every_target.h"

namespace steelyard::test {
namespace {

// k around the lanes of every target, with and without a tail.
class CsrKernelsTest : public testing::TestWithParam<Index> {
 protected:
  static constexpr Index kRows = 60;
  static constexpr Index kCols = 13;

  CsrKernelsTest()
      : sparse_(SparseOf<double>(SparseNumbers(kRows, kCols, 0.3, 1.0, Seed{1}),
                                 true)),
        a_(sparse_.Dense()),
        rows_(sparse_.view(), {}),
        block_(rows_.Load(0, kRows, values_)) {}

  AlignedVector<double> values_;
  SparseMatrix<double> sparse_;
  Matrix<double> a_;
  SparseRows rows_;
  SparseBlock block_;
};

INSTANTIATE_TEST_SUITE_P(RightSides, CsrKernelsTest,
                         testing::Values(1, 2, 3, 4, 7, 8, 9, 17, 33, 64));

TEST_P(CsrKernelsTest, ResidualsAgreeWithScalarLoops) {
  const Index k = GetParam();
  const Matrix<double> b = NormalMatrix(kRows, k, Seed{2});
  const Matrix<double> z = NormalMatrix(kCols, k, Seed{3});
  OnEveryTarget([&] {
    Matrix<double> r = b;
    Matrix<double> s(kCols, k);
    std::vector<double> squares(static_cast<std::size_t>(k), 1.0);
    AddResidual(block_, k, z.data(), r.data(), s.data(), squares.data());
    for (Index c = 0; c < k; ++c) {
      double square = 1.0;
      std::vector<double> sums(kCols, 0.0);
      for (Index i = 0; i < kRows; ++i) {
        double expected = b(i, c);
        for (Index j = 0; j < kCols; ++j) expected -= a_(i, j) * z(j, c);
        // Some 10 terms of size up to 10.
        EXPECT_NEAR(r(i, c), expected, Gamma(kCols) * 100.0);
        square += expected * expected;
        for (Index j = 0; j < kCols; ++j) {
          sums[static_cast<std::size_t>(j)] += a_(i, j) * expected;
        }
      }
      EXPECT_NEAR(squares[static_cast<std::size_t>(c)], square,
                  Gamma(2 * kRows + 2 * kCols) * square * 10.0);
      for (Index j = 0; j < kCols; ++j) {
        EXPECT_NEAR(s(j, c), sums[static_cast<std::size_t>(j)],
                    Gamma(kRows + kCols) * kRows * 100.0);
      }
    }
  });
}

TEST_P(CsrKernelsTest, WithoutZOnlyTheTransposeIsTaken) {
  const Index k = GetParam();
  const Matrix<double> b = NormalMatrix(kRows, k, Seed{2});
  Matrix<double> r = b;
  Matrix<double> s(kCols, k);
  std::vector<double> squares(static_cast<std::size_t>(k), 0.0);
  AddResidual(block_, k, nullptr, r.data(), s.data(), squares.data());
  for (Index e = 0; e < r.size(); ++e) EXPECT_EQ(r.data()[e], b.data()[e]);
  double expected = 0.0;
  for (Index i = 0; i < kRows; ++i) expected += a_(i, 2) * b(i, k - 1);
  EXPECT_NEAR(s(2, k - 1), expected, Gamma(kRows) * kRows * 10.0);
}

TEST_P(CsrKernelsTest, DoubleDoubleAgreesWithScalarDoubleDouble) {
  const Index k = GetParam();
  const Matrix<double> b = NormalMatrix(kRows, k, Seed{2});
  const Matrix<double> z = NormalMatrix(kCols, k, Seed{3});
  Matrix<double> z_lo = NormalMatrix(kCols, k, Seed{4});
  for (Index e = 0; e < z_lo.size(); ++e) z_lo.data()[e] *= 0x1p-55;
  OnEveryTarget([&] {
    Matrix<double> r_hi = b;
    Matrix<double> r_lo(kRows, k);
    Matrix<double> s_hi(kCols, k);
    Matrix<double> s_lo(kCols, k);
    std::vector<double> squares(static_cast<std::size_t>(k), 0.0);
    AddResidualTwice(block_, {.k = k,
                              .z_hi = z.data(),
                              .z_lo = z_lo.data(),
                              .r_hi = r_hi.data(),
                              .r_lo = r_lo.data(),
                              .s_hi = s_hi.data(),
                              .s_lo = s_lo.data(),
                              .squares = squares.data()});
    for (Index c = 0; c < k; ++c) {
      std::vector<DoubleDouble> sums(kCols);
      for (Index i = 0; i < kRows; ++i) {
        DoubleDouble expected{b(i, c), 0.0};
        for (Index j = 0; j < kCols; ++j) {
          expected =
              Subtract(expected, Multiply(a_(i, j), {z(j, c), z_lo(j, c)}));
        }
        EXPECT_NEAR(Subtract(expected, {r_hi(i, c), r_lo(i, c)}).hi, 0.0,
                    0x1p-98);
        for (Index j = 0; j < kCols; ++j) {
          auto& sum = sums[static_cast<std::size_t>(j)];
          sum = Add(sum, Multiply(a_(i, j), expected));
        }
      }
      for (Index j = 0; j < kCols; ++j) {
        EXPECT_NEAR(Subtract(sums[static_cast<std::size_t>(j)],
                             TwoSum(s_hi(j, c), s_lo(j, c)))
                        .hi,
                    0.0, 0x1p-92);
      }
    }
  });
}

TEST_F(CsrKernelsTest, PartsOfAGramAddUpToAllOfIt) {
  std::vector<Index> starts;
  for (Index j = 0; j < kCols; ++j) starts.push_back(j * kCols);
  const auto size = static_cast<std::size_t>(kCols * kCols);
  OnEveryTarget([&] {
    std::vector<DoubleDouble> gram(size);
    AddGramTwice(block_, {0, 50, starts.data()}, gram.data());
    AddGramTwice(block_, {50, block_.entries(), starts.data()}, gram.data());
    for (Index i = 0; i < kCols; ++i) {
      for (Index j = 0; j < kCols; ++j) {
        DoubleDouble expected;
        for (Index row = 0; i <= j && row < kRows; ++row) {
          expected = Add(expected, TwoProduct(a_(row, i), a_(row, j)));
        }
        const DoubleDouble& sum = gram[static_cast<std::size_t>(i * kCols + j)];
        EXPECT_NEAR(Subtract(expected, TwoSum(sum.hi, sum.lo)).hi, 0.0,
                    0x1p-96);
      }
    }
  });
}

}  // namespace
}  // namespace steelyard::test
