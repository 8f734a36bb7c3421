#include "sensitivity/tall_products.h"

#include <cmath>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/bounds.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

std::vector<double> Weights(Index n) {
  std::vector<double> weights;
  for (Index i = 0; i < n; ++i) {
    weights.push_back(std::exp(static_cast<double>(i % 17) - 8.0));
  }
  return weights;
}

TEST(TallProductsTest, ProductsAreThoseOfLongDouble) {
  const Matrix<double> x = test::NormalMatrix(3000, 7, Seed{1});
  const Matrix<double> y = test::NormalMatrix(7, 1, Seed{2});
  const Matrix<double> z = test::NormalMatrix(3000, 1, Seed{3});
  std::vector<double> t(3000);
  std::vector<double> v(7);
  MultiplyTall(x, y.data(), {}, t.data());
  MultiplyTallTransposed(x, z.data(), {}, v.data());
  for (Index i = 0; i < 3000; ++i) {
    long double sum = 0.0L;
    double magnitude = 0.0;
    for (Index c = 0; c < 7; ++c) {
      sum += static_cast<long double>(x(i, c)) * y(c, 0);
      magnitude += std::abs(x(i, c) * y(c, 0));
    }
    EXPECT_NEAR(t[At(i)], static_cast<double>(sum), test::Gamma(8) * magnitude);
  }
  for (Index c = 0; c < 7; ++c) {
    long double sum = 0.0L;
    double magnitude = 0.0;
    for (Index i = 0; i < 3000; ++i) {
      sum += static_cast<long double>(x(i, c)) * z(i, 0);
      magnitude += std::abs(x(i, c) * z(i, 0));
    }
    EXPECT_NEAR(v[At(c)], static_cast<double>(sum),
                TallSumError(3000) * magnitude);
  }
}

TEST(TallProductsTest, TheWeightedGramIsRightWithAnyNumberOfWorkers) {
  const Matrix<double> x = test::NormalMatrix(5000, 300, Seed{4});
  const std::vector<double> s = Weights(5000);
  const Workers one(1);
  const Workers three(3);
  const auto alone = ComputeWeightedGram(x, s.data(), ComputeContext{one});
  const auto shared = ComputeWeightedGram(x, s.data(), ComputeContext{three});
  ASSERT_TRUE(alone.ok() && shared.ok());
  for (Index i = 0; i < 300; ++i) {
    for (Index j = 0; j < 300; ++j) {
      ASSERT_EQ(alone->gram(i, j), shared->gram(i, j));
    }
  }
  for (const auto& [i, j] : std::vector<std::pair<Index, Index>>{
           {0, 0}, {0, 299}, {10, 255}, {255, 256}, {299, 299}}) {
    long double sum = 0.0L;
    long double magnitude = 0.0L;
    for (Index k = 0; k < 5000; ++k) {
      const long double term = static_cast<long double>(s[At(k)]) * x(k, i) *
                               static_cast<long double>(x(k, j));
      sum += term;
      magnitude += std::abs(term);
    }
    EXPECT_NEAR(alone->gram(i, j), static_cast<double>(sum),
                alone->additions * test::kUnitRoundoff *
                    static_cast<double>(magnitude));
  }
}

TEST(TallProductsTest, TheSystemSolvesAndSaysWhenItCannot) {
  const Matrix<double> x = test::NormalMatrix(400, 6, Seed{5});
  const std::vector<double> s = Weights(400);
  const Workers workers(2);
  const ComputeContext context{workers};
  WeightedSystem system(x);
  ASSERT_TRUE(system.Factor(s.data(), context));
  std::vector<double> v = {1.0, -2.0, 3.0, -4.0, 5.0, -6.0};
  const std::vector<double> right = v;
  system.Solve(v.data());
  // H v, term by term.
  std::vector<double> t(400);
  std::vector<double> back(6);
  MultiplyTall(x, v.data(), {}, t.data());
  for (Index i = 0; i < 400; ++i) t[At(i)] *= s[At(i)];
  MultiplyTallTransposed(x, t.data(), {}, back.data());
  for (std::size_t c = 0; c < 6; ++c) {
    // A few hundred roundings at a condition number below 10.
    EXPECT_NEAR(back[c], right[c], 100.0 * test::Gamma(400));
  }
  const std::vector<double> zeros(400, 0.0);
  EXPECT_FALSE(system.Factor(zeros.data(), context));
  StopSource stop;
  stop.RequestStop(StopReason::kCancelled);
  EXPECT_FALSE(system.Factor(s.data(), ComputeContext{workers, stop.token()}));
}

}  // namespace
}  // namespace steelyard
