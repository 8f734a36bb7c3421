// Softmax scores by brute force in long double, and what a proven row promises
// about them.
//
// SOURCE  NUMERICS N7.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "gtest/gtest.h"
#include "steelyard/heavy_scores.h"
#include "steelyard/matrix.h"

namespace steelyard::test {

// score(i, j) = exp(scale <q_i, k_j>) / sum over the keys up to positions[i]
// (all of them when empty); 0 behind it. The largest logit is taken out first.
inline Matrix<long double> BruteForceSoftmax(
    const Matrix<long double>& queries, const Matrix<long double>& keys,
    double scale, const std::vector<Index>& positions = {}) {
  Matrix<long double> scores(queries.rows(), keys.rows());
  for (Index i = 0; i < queries.rows(); ++i) {
    const Index seen =
        positions.empty()
            ? keys.rows()
            : std::min(keys.rows(), positions[static_cast<std::size_t>(i)] + 1);
    long double largest = -std::numeric_limits<long double>::infinity();
    for (Index j = 0; j < seen; ++j) {
      long double product = 0.0L;
      for (Index c = 0; c < keys.cols(); ++c) {
        product += queries(i, c) * keys(j, c);
      }
      scores(i, j) = static_cast<long double>(scale) * product;
      largest = std::max(largest, scores(i, j));
    }
    long double total = 0.0L;
    for (Index j = 0; j < seen; ++j) {
      scores(i, j) = std::exp(scores(i, j) - largest);
      total += scores(i, j);
    }
    for (Index j = 0; j < seen; ++j) scores(i, j) /= total;
  }
  return scores;
}

// Every score >= epsilon is in the row; what is in the row lies in its
// interval, whose upper end reaches epsilon. `slack` is the error of the
// oracle, and that of exact scores, relative.
inline void ExpectProven(const HeavyRow& row, const Matrix<long double>& scores,
                         Index i, double epsilon, double slack) {
  ASSERT_FALSE(row.undefined);
  ASSERT_EQ(row.scores.size(), row.indices.size());
  if (!row.scores_upper.empty()) {
    ASSERT_EQ(row.scores_upper.size(), row.indices.size());
  }
  double mass = 0.0;
  std::size_t at = 0;
  for (Index j = 0; j < scores.cols(); ++j) {
    const auto score = static_cast<double>(scores(i, j));
    if (at == row.indices.size() || row.indices[at] != j) {
      EXPECT_LT(score, epsilon * (1.0 + slack)) << i << "," << j;
      continue;
    }
    const double lower = row.scores[at];
    const double upper =
        row.scores_upper.empty() ? lower : row.scores_upper[at];
    EXPECT_LE(lower, score * (1.0 + slack)) << i << "," << j;
    EXPECT_GE(upper, score * (1.0 - slack)) << i << "," << j;
    EXPECT_GE(upper, epsilon * (1.0 - slack)) << i << "," << j;
    mass += score;
    ++at;
  }
  EXPECT_EQ(at, row.indices.size()) << "an index out of order or range";
  EXPECT_LE(row.captured_mass, mass * (1.0 + slack));
}

}  // namespace steelyard::test
