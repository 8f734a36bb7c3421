// Keys that the tests of this room share.
#pragma once

#include <cmath>

#include "gtest/gtest.h"
#include "sensitivity/whitened_keys.h"
#include "steelyard/random.h"
#include "tests/support/matrices.h"

namespace steelyard::test {

enum class Tail { kNormal, kHeavy };

// Normal keys with columns falling to 1 / cond, mixed; heavy: every row times
// a number of Cauchy's distribution, so that some rows stand out.
inline Matrix<double> PowerKeys(Index n, Index d, double cond, Tail tail,
                                std::uint64_t seed) {
  const Matrix<double> normal = NormalMatrix(n, d, Seed{seed});
  const Matrix<double> mixer = RandomOrthogonal(d, d, Seed{seed + 1});
  const std::vector<double> fall = GeometricValues(d, cond);
  const RandomStream stream{.seed = {seed + 2}, .stream = 3};
  Matrix<double> keys(n, d);
  for (Index i = 0; i < n; ++i) {
    const auto at = static_cast<std::uint64_t>(i);
    const double length = tail == Tail::kNormal ? 1.0
                                                : stream.Normal(2 * at) /
                                                      stream.Normal(2 * at + 1);
    for (Index c = 0; c < d; ++c) {
      for (Index k = 0; k < d; ++k) {
        keys(i, c) += length * normal(i, k) *
                      fall[static_cast<std::size_t>(k)] * mixer(k, c);
      }
    }
  }
  return keys;
}

// Keys, factored and whitened.
struct PreparedKeys {
  FactoredKeys factored;
  WhitenedKeys white;
};

inline PreparedKeys Prepare(const AnyMatrixView& keys) {
  static const Workers workers(2);
  const ComputeContext context{workers};
  absl::StatusOr<FactoredKeys> factored = FactorKeys(keys, 0, context);
  EXPECT_TRUE(factored.ok()) << factored.status();
  absl::StatusOr<WhitenedKeys> white = WhitenKeys(keys, *factored, context);
  EXPECT_TRUE(white.ok()) << white.status();
  return {*std::move(factored), *std::move(white)};
}

}  // namespace steelyard::test
