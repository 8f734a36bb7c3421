#include "one_pass/arrival_scores.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "gmock/gmock.h"
#include "tests/core/one_pass/streams.h"
#include "tests/support/bounds.h"
#include "tests/support/long_double_householder.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

using test::TestContext;
using testing::ElementsAre;

ArrivalScores Score(const AnyMatrixView& keys, Index block) {
  RunningFactor factor(Cols(keys));
  ArrivalScores arrivals;
  for (const KeyRange& part : test::Blocks(Rows(keys), block)) {
    const absl::Status status =
        ScoreOnArrival(SubView(keys, part.first, part.count), 0, TestContext(),
                       factor, arrivals);
    EXPECT_TRUE(status.ok()) << status;
  }
  EXPECT_EQ(factor.keys(), Rows(keys));
  return arrivals;
}

// The last leverage score of every prefix, by the oracle.
std::vector<double> Truth(const AnyMatrixView& keys, Index rank) {
  std::vector<double> truth;
  for (Index j = 0; j < Rows(keys); ++j) {
    const auto scores = test::LongDoubleLeverages(SubView(keys, 0, j + 1),
                                                  std::min(rank, j + 1));
    truth.push_back(static_cast<double>(scores.back()));
  }
  return truth;
}

void ExpectWithinErrors(const ArrivalScores& arrivals,
                        const std::vector<double>& truth) {
  ASSERT_EQ(arrivals.scores.size(), truth.size());
  double total = 0.0;
  double bound = 0.0;
  for (std::size_t j = 0; j < truth.size(); ++j) {
    // A key that is new scores 1 to the last bit here, nearly so in the oracle.
    const double oracle = test::OracleBound(8, 1e6);
    EXPECT_LE(std::abs(arrivals.scores[j] - truth[j]),
              arrivals.errors[j] * truth[j] + oracle)
        << j;
    if (std::isinf(arrivals.errors[j])) {
      // By the rank rule, after keys that were not all independent.
      EXPECT_EQ(arrivals.scores[j], 1.0) << j;
    } else {
      EXPECT_LT(arrivals.errors[j], 1e-3) << j;
    }
    total += truth[j];
    bound += UpperEndOfArrival(arrivals.scores[j], arrivals.errors[j]);
  }
  EXPECT_NEAR(arrivals.total, total, 1e-3 * total);
  EXPECT_NEAR(arrivals.bound, bound,
              test::Gamma(static_cast<Index>(truth.size())) * bound);
  EXPECT_GE(arrivals.bound, total * (1.0 - test::Gamma(1000)));
}

TEST(ArrivalScoresTest, AreTheScoresAmongTheKeysBefore) {
  for (const double cond : {1.0, 1e4, 1e6}) {
    const Matrix<double> keys = test::MatrixWithSingularValues(
        400, test::GeometricValues(6, cond), Seed{121});
    const std::vector<double> truth = Truth(keys.view(), 6);
    for (const Index block : {1, 17, 64, 400}) {
      ExpectWithinErrors(Score(keys.view(), block), truth);
    }
  }
}

TEST(ArrivalScoresTest, OfKeysWhoseRankGrowsLate) {
  Matrix<double> keys = test::NormalMatrix(300, 5, Seed{122});
  for (Index i = 0; i < 300; ++i) {
    if (i < 200) keys(i, 4) = keys(i, 0);
    if (i < 100) keys(i, 3) = 0.0;
    if (i % 9 == 0) std::fill_n(keys.row(i), 5, 0.0);
  }
  std::vector<double> truth;
  for (Index j = 0; j < 300; ++j) {
    const Index nonzero = j - j / 9;
    const Index rank =
        std::min<Index>(nonzero, j < 100 ? 3 : (j < 200 ? 4 : 5));
    const auto scores = rank == 0 ? std::vector<long double>{0.0L}
                                  : test::LongDoubleLeverages(
                                        SubView(keys.view(), 0, j + 1), rank);
    truth.push_back(static_cast<double>(scores.back()));
  }
  for (const Index block : {1, 33, 300}) {
    const ArrivalScores arrivals = Score(keys.view(), block);
    ExpectWithinErrors(arrivals, truth);
    EXPECT_EQ(arrivals.scores[0], 0.0);
    EXPECT_EQ(arrivals.scores[1], 1.0);
    EXPECT_EQ(arrivals.scores[200], 1.0);
    // 1 / (2 + 30 / 20)^2
    EXPECT_EQ(arrivals.shares[150], 1.0 / 12.25);
    EXPECT_EQ(arrivals.shares[250], 1.0);
  }
}

// 1 - 1 / L^2 would lose scores of 1e-12 altogether.
TEST(ArrivalScoresTest, TinyScoresKeepTheirDigits) {
  Matrix<double> keys = test::NormalMatrix(500, 4, Seed{123});
  for (Index i = 250; i < 500; ++i) {
    for (Index c = 0; c < 4; ++c) keys(i, c) *= 1e-7;
  }
  const std::vector<double> truth = Truth(keys.view(), 4);
  const ArrivalScores arrivals = Score(keys.view(), 500);
  for (std::size_t j = 250; j < 500; ++j) {
    ASSERT_LT(truth[j], 1e-13);
    EXPECT_NEAR(arrivals.scores[j], truth[j],
                (arrivals.errors[j] + test::OracleBound(4, 1e2)) * truth[j]);
  }
}

// Keys that dwarf all before them, and one that leaves the row space by less
// than a rank can tell.
TEST(ArrivalScoresTest, ExtremeKeys) {
  Matrix<double> keys = test::NormalMatrix(200, 3, Seed{124});
  for (Index c = 0; c < 3; ++c) {
    // Along a column, where scales see that the others are not nothing.
    keys(100, c) *= c == 0 ? 1e160 : 0.0;
    keys(150, c) *= 1e-300;
  }
  ArrivalScores arrivals = Score(keys.view(), 200);
  EXPECT_EQ(arrivals.scores[100], 1.0);
  EXPECT_LE(arrivals.scores[150], 1e-300);

  keys(100, 0) = 1.0;
  for (Index i = 0; i < 200; ++i) keys(i, 1) = keys(i, 0);
  keys(120, 0) = 1e-17;
  keys(120, 1) = -1e-17;
  keys(120, 2) = 0.0;
  arrivals = Score(keys.view(), 200);
  EXPECT_EQ(arrivals.scores[120], 1.0);
  EXPECT_TRUE(std::isinf(arrivals.errors[120]));
  UniversalSet set;
  UniversalSetOptions options;
  options.epsilon = 0.9;
  SelectArrivals(arrivals, options, &set);
  EXPECT_THAT(set.indices, testing::Contains(120));
  EXPECT_THAT(set.new_direction, ElementsAre(120));
}

// Keys of full rank that look dependent: the rank of what came before is a
// matter of rounding, and so is a score of 1 against it.
TEST(ArrivalScoresTest, NoErrorIsClaimedWhereTheRankIsAMatterOfRounding) {
  for (const double noise : {3e-15, 5e-15, 8e-15, 1.3e-14}) {
    Matrix<double> keys = test::NormalMatrix(60, 4, Seed{125});
    for (Index i = 0; i < 60; ++i) {
      for (Index c = 0; c < 4; ++c) {
        keys(i, c) = 1.0 / static_cast<double>(c + 1) + noise * keys(i, c);
      }
    }
    const std::vector<double> truth = Truth(keys.view(), 4);
    const ArrivalScores arrivals = Score(keys.view(), 60);
    EXPECT_EQ(arrivals.errors[0], 0.0);
    for (std::size_t j = 0; j < truth.size(); ++j) {
      if (arrivals.scores[j] < 1.0 || std::isinf(arrivals.errors[j])) continue;
      EXPECT_NEAR(truth[j], 1.0, arrivals.errors[j] + 0x1p-6) << j;
    }
  }
}

// No product with a matrix without columns: BLAS complains of those.
TEST(ArrivalScoresTest, ZerosAfterZerosAskNothingOfBlas) {
  testing::internal::CaptureStderr();
  testing::internal::CaptureStdout();
  const ArrivalScores arrivals = Score(Matrix<double>(130, 3).view(), 70);
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_THAT(arrivals.scores, testing::Each(0.0));
  EXPECT_THAT(arrivals.errors, testing::Each(0.0));
}

TEST(SelectArrivalsTest, WhatHasNoErrorBoundIsAnUndecidedMember) {
  ArrivalScores arrivals;
  const double infinite = std::numeric_limits<double>::infinity();
  arrivals.scores = {1.0, 0.02, 0.1, 0.3, 1.0, 0.0};
  arrivals.errors = {0.0, infinite, 0.01, 0.02, infinite, infinite};
  arrivals.total = 2.42;
  arrivals.bound = 3.5;
  UniversalSetOptions options;
  options.epsilon = 0.1;
  UniversalSet set;
  SelectArrivals(arrivals, options, &set);
  EXPECT_THAT(set.indices, ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(set.undecided, ElementsAre(1, 2));
  EXPECT_THAT(set.upper_bounds, ElementsAre(0, 1, 0, 0, 0));
  EXPECT_THAT(set.new_direction, ElementsAre(4));
  EXPECT_EQ(set.relative_score_error, 0.02);
  EXPECT_EQ(set.total_sensitivity, 2.42);
  EXPECT_EQ(set.size_bound, 3.5 / 0.1);
  EXPECT_FALSE(set.exact);
}

}  // namespace
}  // namespace steelyard
