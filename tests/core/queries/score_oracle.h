// One row of heavy scores against brute force, shared by the tests of this room.
#pragma once

#include <algorithm>

#include "gtest/gtest.h"
#include "steelyard/heavy_scores.h"
#include "steelyard/matrix.h"

namespace steelyard::test {

// Each heavy score of the oracle is found; what is found is heavy up to `slack`,
// the width of the undecided band.
inline void ExpectSameAsBruteForce(const HeavyRow& row,
                                   const Matrix<long double>& scores, Index i,
                                   double epsilon, double slack) {
  double mass = 0.0;
  for (Index j = 0; j < scores.cols(); ++j) {
    const auto score = static_cast<double>(scores(i, j));
    const auto found =
        std::lower_bound(row.indices.begin(), row.indices.end(), j);
    if (found == row.indices.end() || *found != j) {
      EXPECT_LT(score, epsilon) << i << "," << j;
      continue;
    }
    EXPECT_GE(score, epsilon * (1.0 - slack)) << i << "," << j;
    const auto at = static_cast<std::size_t>(found - row.indices.begin());
    EXPECT_NEAR(row.scores[at], score, slack);
    mass += score;
  }
  EXPECT_NEAR(row.captured_mass, mass, slack);
}

}  // namespace steelyard::test
