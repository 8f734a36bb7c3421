#include "power/pass_kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "linalg/double_double.h"
#include "tests/support/bounds.h"
#include "tests/support/every_target.h"
#include "tests/support/matrices.h"

namespace steelyard::test {
namespace {

// Rows and columns around the tiles and lanes of every target.
struct Shape {
  Index rows;
  Index d;
  Index k;
};

class PassKernelsTest : public testing::TestWithParam<Shape> {
 protected:
  Index rows() const { return GetParam().rows; }
  Index d() const { return GetParam().d; }
  Index k() const { return GetParam().k; }

  const Matrix<double> a_ = NormalMatrix(rows(), d(), Seed{1});
  const Matrix<double> z_ = NormalMatrix(k(), d(), Seed{2});
  const Matrix<double> b_ = NormalMatrix(k(), rows(), Seed{3});
};

INSTANTIATE_TEST_SUITE_P(Shapes, PassKernelsTest,
                         testing::Values(Shape{1, 1, 1}, Shape{8, 16, 1},
                                         Shape{13, 31, 1}, Shape{7, 9, 3},
                                         Shape{12, 24, 8}, Shape{19, 40, 6},
                                         Shape{9, 515, 5}, Shape{9, 515, 1}));

TEST_P(PassKernelsTest, ProductsAreWithinTheirBounds) {
  OnEveryTarget([&] {
    Matrix<double> r = b_;
    Matrix<double> s(k(), d());
    AddResidualBlock({a_.data(), rows(), d()}, z_.data(), k(), r.data(), rows(),
                     s.data());
    for (Index c = 0; c < k(); ++c) {
      for (Index i = 0; i < rows(); ++i) {
        long double sum = b_(c, i);
        long double size = std::abs(sum);
        for (Index j = 0; j < d(); ++j) {
          const long double term =
              static_cast<long double>(a_(i, j)) * z_(c, j);
          sum -= term;
          size += std::abs(term);
        }
        EXPECT_NEAR(static_cast<double>(r(c, i) - sum), 0.0,
                    Gamma(d() + 1) * static_cast<double>(size));
      }
      for (Index j = 0; j < d(); ++j) {
        long double sum = 0.0L;
        long double size = 0.0L;
        for (Index i = 0; i < rows(); ++i) {
          const long double term = static_cast<long double>(a_(i, j)) * r(c, i);
          sum += term;
          size += std::abs(term);
        }
        EXPECT_NEAR(static_cast<double>(s(c, j) - sum), 0.0,
                    Gamma(rows()) * static_cast<double>(size));
      }
    }
  });
}

TEST_P(PassKernelsTest, AColumnHasTheBitsThatItHasAlone) {
  OnEveryTarget([&] {
    const RowPanel panel{a_.data(), rows(), d()};
    Matrix<double> r = b_;
    Matrix<double> s(k(), d());
    AddResidualBlock(panel, z_.data(), k(), r.data(), rows(), s.data());
    for (Index c = 0; c < k(); ++c) {
      std::vector<double> alone(b_.row(c), b_.row(c) + rows());
      std::vector<double> sums(static_cast<std::size_t>(d()));
      AddResidualBlock(panel, z_.row(c), 1, alone.data(), rows(), sums.data());
      for (Index i = 0; i < rows(); ++i) {
        EXPECT_EQ(alone[static_cast<std::size_t>(i)], r(c, i));
      }
      for (Index j = 0; j < d(); ++j) {
        EXPECT_EQ(sums[static_cast<std::size_t>(j)], s(c, j));
      }
    }
  });
}

TEST_P(PassKernelsTest, DoubleDoubleAgreesWithScalarDoubleDouble) {
  const Matrix<double> z_lo(k(), d());
  Matrix<double> r = b_;
  Matrix<double> r_lo(k(), rows());
  Matrix<double> s(k(), d());
  Matrix<double> s_lo(k(), d());
  AddResidualBlockTwice({a_.data(), rows(), d()}, z_.data(), z_lo.data(), k(),
                        {r.data(), r_lo.data()}, rows(),
                        {s.data(), s_lo.data()});
  for (Index c = 0; c < k(); ++c) {
    for (Index j = 0; j < d(); ++j) {
      DoubleDouble sum;
      double size = 0.0;
      for (Index i = 0; i < rows(); ++i) {
        DoubleDouble left{b_(c, i), 0.0};
        for (Index l = 0; l < d(); ++l) {
          left = Subtract(left, TwoProduct(a_(i, l), z_(c, l)));
          size += std::abs(a_(i, j) * a_(i, l) * z_(c, l));
        }
        sum = Add(sum, Multiply(a_(i, j), left));
        size += std::abs(a_(i, j) * b_(c, i));
      }
      // d^2 2^-104 of every product: double_double_rows.h.
      const double terms = static_cast<double>(d() + rows());
      EXPECT_NEAR(Subtract(sum, TwoSum(s(c, j), s_lo(c, j))).hi, 0.0,
                  terms * terms * 0x1p-104 * size);
    }
  }
}

TEST(PassKernelsNullTest, WithoutZTheResidualIsB) {
  const Matrix<double> a = NormalMatrix(5, 3, Seed{4});
  std::vector<double> r{1.0, 2.0, 3.0, 4.0, 5.0};
  std::vector<double> s(3);
  AddResidualBlock({a.data(), 5, 3}, nullptr, 1, r.data(), 5, s.data());
  EXPECT_EQ(r, (std::vector<double>{1.0, 2.0, 3.0, 4.0, 5.0}));
  for (Index j = 0; j < 3; ++j) {
    double sum = 0.0;
    for (Index i = 0; i < 5; ++i) {
      sum = std::fma(a(i, j), r[static_cast<std::size_t>(i)], sum);
    }
    EXPECT_NEAR(s[static_cast<std::size_t>(j)], sum, Gamma(5) * 50.0);
  }
}

}  // namespace
}  // namespace steelyard::test
