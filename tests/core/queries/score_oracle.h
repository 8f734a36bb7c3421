// Heavy scores by brute force, shared by the tests of this room.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "gtest/gtest.h"
#include "steelyard/heavy_scores.h"
#include "steelyard/matrix.h"

namespace steelyard::test {

// f for what is not softmax.
inline long double ValueOf(const ScoreFunction& function, long double t) {
  if (const auto* power = std::get_if<Power>(&function)) {
    return std::pow(std::abs(t), static_cast<long double>(power->p));
  }
  long double sum = 0.0L;
  for (const PowerTerm& term : std::get<PowerSum>(function).terms) {
    sum += term.coefficient *
           std::pow(std::abs(t), static_cast<long double>(term.p));
  }
  return sum;
}

// score(i, j) over the keys 0..positions[i] (empty: all); 0 beyond.
inline Matrix<long double> BruteForceScores(
    const ScoreFunction& function, const Matrix<long double>& queries,
    const Matrix<long double>& keys, const std::vector<Index>& positions = {}) {
  Matrix<long double> scores(queries.rows(), keys.rows());
  for (Index i = 0; i < queries.rows(); ++i) {
    const Index n =
        positions.empty()
            ? keys.rows()
            : std::min(keys.rows(), positions[static_cast<std::size_t>(i)] + 1);
    long double total = 0.0L;
    for (Index j = 0; j < n; ++j) {
      long double t = 0.0L;
      for (Index c = 0; c < keys.cols(); ++c) t += queries(i, c) * keys(j, c);
      scores(i, j) = ValueOf(function, t);
      total += scores(i, j);
    }
    for (Index j = 0; total > 0.0L && j < n; ++j) scores(i, j) /= total;
  }
  return scores;
}

// Each heavy score of the oracle is found; what is found is heavy up to
// `slack`, the width of the undecided band.
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
