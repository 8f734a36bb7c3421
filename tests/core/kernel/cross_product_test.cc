#include "kernel/cross_product.h"

#include <cmath>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/bounds.h"
#include "tests/support/kernel_cases.h"

namespace steelyard {
namespace {

using Norm = KernelNormalization;
constexpr Norm kNorms[] = {Norm::kNone, Norm::kUnitDiagonal,
                           Norm::kSoftmaxRows};

class CrossProductTest : public testing::Test {
 protected:
  void Load(Index n, Index d, double length, Norm norm) {
    a_ = test::RowsOfNorm(n, d, length, 1);
    norm_ = norm;
    keys_ = LoadKernelRows(a_.view(), 1.0, norm, context_).value();
  }

  CrossProduct Product(const Matrix<double>& x) const {
    return CrossProduct::Make(keys_, norm_, x, {}, context_).value();
  }

  ScaledVector Multiply(const CrossProduct& product,
                        const Matrix<double>& queries) const {
    ScaledVector y(
        static_cast<std::size_t>(queries.rows() * product.vectors()));
    product.Multiply(LoadQueryRows(queries.view(), 0, queries.rows(), keys_),
                     {}, y.data());
    return y;
  }

  Workers workers_{2};
  ComputeContext context_{.workers = workers_};
  Norm norm_ = Norm::kNone;
  Matrix<double> a_;
  KernelRows keys_;
};

// The same query, once among near ones and once beside one that makes the tile
// take running maxima.
TEST_F(CrossProductTest, BothRoadsAgree) {
  for (const Norm norm : kNorms) {
    Load(300, 5, 3.0, norm);
    const Matrix<double> x = test::RowsOfNorm(4, 300, 1.0, 2);
    CrossProduct product = Product(x);
    Matrix<double> queries = test::RowsOfNorm(20, 5, 3.0, 3);
    ASSERT_FALSE(product.Wide(LoadQueryRows(queries.view(), 0, 20, keys_)));
    const ScaledVector narrow = Multiply(product, queries);
    queries(19, 0) = 200.0;
    ASSERT_TRUE(product.Wide(LoadQueryRows(queries.view(), 0, 20, keys_)));
    ASSERT_TRUE(product.PrepareWide(context_).ok());
    const ScaledVector wide = Multiply(product, queries);
    Matrix<double> sizes = x;
    for (Index i = 0; i < x.size(); ++i) {
      sizes.data()[i] = std::abs(x.data()[i]);
    }
    const ScaledVector scale = Multiply(Product(sizes), [&] {
      queries(19, 0) = 0.0;
      return queries;
    }());
    // Logits and their bound are below 60.
    const double bound = test::Gamma(64 + 2 * 60);
    for (std::size_t e = 0; e < 19 * 4; ++e) {
      EXPECT_LE(RatioOf(Subtract(narrow[e], wide[e]), scale[e]), bound) << e;
    }
  }
}

TEST_F(CrossProductTest, ATileOfAllSizesOfXIsExactForOneKey) {
  Load(1, 3, 1.0, Norm::kUnitDiagonal);
  Matrix<double> x(3, 1);
  x(0, 0) = 5e-324;
  x(1, 0) = -1e308;
  x(2, 0) = 0.0;
  CrossProduct product = Product(x);
  ASSERT_TRUE(product.PrepareWide(context_).ok());
  Matrix<double> queries(2, 3);
  for (Index c = 0; c < 3; ++c) {
    queries(0, c) = a_(0, c);
    queries(1, c) = a_(0, c) + 300.0;
  }
  const ScaledVector y = Multiply(product, queries);
  const double far = -0.5 * 3.0 * 300.0 * 300.0;
  for (std::size_t v = 0; v < 2; ++v) {
    const double log_x = std::log(std::abs(x.data()[v]));
    EXPECT_NEAR(LogOf(y[v + 3]), log_x + far, test::Gamma(16) * -far);
    EXPECT_EQ(y[v + 3].mantissa > 0.0, x.data()[v] > 0.0);
  }
  EXPECT_TRUE(y[2].zero());
  EXPECT_TRUE(y[5].zero());
}

TEST_F(CrossProductTest, StopsBetweenTilesAndBetweenVectors) {
  Load(900, 3, 50.0, Norm::kNone);
  const Matrix<double> x = test::RowsOfNorm(2, 900, 1.0, 4);
  CrossProduct product = Product(x);
  StopSource source;
  source.StopAtLook(1);
  const ComputeContext stopped{.workers = workers_, .stop = source.token()};
  EXPECT_EQ(product.PrepareWide(stopped).code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(CrossProduct::Make(keys_, norm_, x, {}, stopped).status().code(),
            absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace steelyard
