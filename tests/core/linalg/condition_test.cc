#include "linalg/condition.h"

#include "gtest/gtest.h"
#include "linalg/cholesky.h"
#include "linalg/svd.h"
#include "steelyard/random.h"
#include "tests/support/bounds.h"

namespace steelyard {
namespace {

// Rows of very different size: condition numbers from 1 to 1e12.
Matrix<double> GradedTriangle(Index n, double decay, std::uint64_t stream) {
  const RandomStream random{.seed = {6}, .stream = stream};
  Matrix<double> r(n, n);
  double size = 1.0;
  for (Index i = 0; i < n; ++i) {
    for (Index j = i; j < n; ++j) {
      r(i, j) =
          size * 0.3 * random.Normal(static_cast<std::uint64_t>(i * n + j));
    }
    r(i, i) = size;
    size *= decay;
  }
  return r;
}

TEST(ConditionTest, EstimateIsWithinAFactorOfTwoFromBelow) {
  const Workers workers(2);
  for (const Index n : {1, 10, 40, 300}) {
    for (const double decay : {1.0, 0.9, 0.5}) {
      if (n == 300 && decay != 1.0) continue;  // beyond 1e13
      for (std::uint64_t stream = 0; stream < 5; ++stream) {
        Matrix<double> r = GradedTriangle(n, decay, stream);
        if (n == 300) {
          for (Index i = 0; i < n; ++i) r(i, i) = 8.0;
        }
        const auto estimate =
            EstimateCondition(BlockOf(std::as_const(r)), {workers});
        ASSERT_TRUE(estimate.ok());
        const auto values = SingularValues(r);
        const double condition = values->front() / values->back();
        // The smallest value is itself known to n u kappa only.
        const double slack = 1.0 + test::Gamma(n * n) * condition;
        EXPECT_LE(*estimate, condition * slack);
        EXPECT_GE(*estimate, condition / slack / 2.0);
      }
    }
  }
}

}  // namespace
}  // namespace steelyard
