#include "preconditioner/factor_product.h"

#include <cmath>
#include <vector>

#include "gtest/gtest.h"
#include "steelyard/matrix.h"
#include "steelyard/random.h"
#include "tests/support/bounds.h"

namespace steelyard {
namespace {

template <typename T>
class FactorProductTest : public testing::Test {};

using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(FactorProductTest, Scalars);

// Every remainder of four rows and of a register, against long double; rows
// farther apart than they are long.
TYPED_TEST(FactorProductTest, SumsAreThoseOfLongDouble) {
  const RandomStream stream{.seed = {4}, .stream = 1};
  constexpr Index kStride = 90;
  Matrix<TypeParam> f(9, kStride);
  for (Index i = 0; i < f.size(); ++i) {
    f.data()[i] =
        static_cast<TypeParam>(stream.Normal(static_cast<std::uint64_t>(i)));
  }
  std::vector<double> v;
  for (Index i = 0; i < kStride; ++i) {
    v.push_back(stream.Normal(static_cast<std::uint64_t>(10000 + i)));
  }
  for (Index rows = 0; rows <= 9; ++rows) {
    for (Index cols = 0; cols <= 85; ++cols) {
      const FactorTile<TypeParam> tile{f.data() + 1, rows, cols, kStride};
      std::vector<double> sums(9, 2.0);
      std::vector<double> out(static_cast<std::size_t>(kStride), 3.0);
      AddProducts(tile, v.data(), sums.data());
      AddCombination(tile, v.data(), out.data());
      for (Index j = 0; j < 9; ++j) {
        long double sum = 2.0L;
        long double size = 2.0L;
        for (Index i = 0; i < cols && j < rows; ++i) {
          const long double term = static_cast<long double>(f(j, i + 1)) *
                                   v[static_cast<std::size_t>(i)];
          sum += term;
          size += std::abs(term);
        }
        EXPECT_NEAR(sums[static_cast<std::size_t>(j)], static_cast<double>(sum),
                    test::Gamma(cols + 1) * static_cast<double>(size));
      }
      for (Index i = 0; i < kStride; ++i) {
        long double sum = 3.0L;
        long double size = 3.0L;
        for (Index j = 0; j < rows && i < cols; ++j) {
          const long double term = static_cast<long double>(f(j, i + 1)) *
                                   v[static_cast<std::size_t>(j)];
          sum += term;
          size += std::abs(term);
        }
        EXPECT_NEAR(out[static_cast<std::size_t>(i)], static_cast<double>(sum),
                    test::Gamma(rows + 1) * static_cast<double>(size));
      }
    }
  }
}

}  // namespace
}  // namespace steelyard
