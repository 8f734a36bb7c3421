#include "queries/interval_scores.h"

#include <cmath>

#include "gmock/gmock.h"
#include "steelyard/heavy_scores.h"
#include "tests/core/queries/score_oracle.h"
#include "tests/support/attention_oracle.h"
#include "tests/support/bounds.h"
#include "tests/support/long_double_householder.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

const Workers& TwoWorkers() {
  static const Workers workers(2);
  return workers;
}

// Keys of which a few are long, so that most of them are not stored.
Matrix<double> Keys(Index n, Index d, Seed seed) {
  Matrix<double> keys = test::NormalMatrix(n, d, seed);
  for (Index j = 0; j < n; j += 100) {
    for (Index c = 0; c < d; ++c) keys(j, c) *= 20.0;
  }
  return keys;
}

double Upper(const HeavyRow& row, std::size_t at) {
  return row.scores_upper.empty() ? row.scores[at] : row.scores_upper[at];
}

// The score of every key returned lies in its interval; a key that is left out,
// stored or not, has a score below epsilon. Returns the widest interval.
double ExpectIntervalsHold(const HeavyRow& row,
                           const Matrix<long double>& scores, Index i,
                           double epsilon) {
  const double slack = test::Gamma(1 << 16);
  double widest = 0.0;
  double mass = 0.0;
  for (Index j = 0; j < scores.cols(); ++j) {
    const auto score = static_cast<double>(scores(i, j));
    const auto found =
        std::lower_bound(row.indices.begin(), row.indices.end(), j);
    if (found == row.indices.end() || *found != j) {
      EXPECT_LT(score, epsilon);
      continue;
    }
    const auto at = static_cast<std::size_t>(found - row.indices.begin());
    EXPECT_GE(score, row.scores[at] * (1.0 - slack));
    EXPECT_LE(score, Upper(row, at) * (1.0 + slack));
    EXPECT_GE(Upper(row, at), epsilon * (1.0 - slack));
    widest = std::max(widest, Upper(row, at) - row.scores[at]);
    mass += score;
  }
  EXPECT_LE(row.captured_mass, mass * (1.0 + slack));
  EXPECT_LE(row.captured_mass, 1.0);
  return widest;
}

TEST(IntervalScoresTest, HoldTheTrueScoresForEveryFunction) {
  const Index n = 2000, d = 6, m = 70;
  const Matrix<double> keys = Keys(n, d, Seed{1});
  Matrix<double> queries = test::NormalMatrix(m, d, Seed{2});
  // The queries that attain the leverage score of some keys, long and short.
  const auto attaining = test::AttainingQueries(keys.view());
  for (Index i = 0; i < m / 2; ++i) {
    for (Index c = 0; c < d; ++c) {
      queries(i, c) = static_cast<double>(attaining(i * 50 % n + i % 2, c));
    }
  }
  for (const ScoreFunction& function : std::vector<ScoreFunction>{
           Power{1.0}, Power{1.5}, Power{3.0}, Power{4.0}, Power{6.0},
           Power{64.0}, PowerSum{{{1.0, 2.0}, {0.2, 4.0}}},
           PowerSum{{{1.0, 1.0}, {2.0, 3.0}}}}) {
    auto sets = FindQueryableSets(std::vector<AnyMatrixView>{keys.view()},
                                  {.epsilon = 0.05, .function = function},
                                  ComputeContext{TwoWorkers()});
    ASSERT_TRUE(sets.ok()) << sets.status();
    const QueryableSetData& data = (*sets)[0].data();
    ASSERT_LT(data.indices.size(), 1000u);
    const auto rows =
        FindHeavyScores(*sets, std::vector<AnyMatrixView>{queries.view()},
                        {.epsilon = 0.06}, ComputeContext{TwoWorkers()});
    ASSERT_TRUE(rows.ok()) << rows.status();
    const auto scores = test::BruteForceScores(
        function, test::Widened(queries.view()), test::Widened(keys.view()));
    double widest = 0.0;
    for (Index i = 0; i < m; ++i) {
      widest = std::max(
          widest, ExpectIntervalsHold((*rows)[static_cast<std::size_t>(i)],
                                      scores, i, 0.06));
    }
    const std::string name = DescriptionOf(function);
    if (name == "|x|^4" || name == "|x|^2 + 0.2|x|^4") {
      EXPECT_EQ(widest, 0.0) << name;  // by moments: exact
    } else if (name != "|x|^64" && name != "|x|^6") {
      EXPECT_GT(widest, 0.0) << name;  // else nothing was tested
      EXPECT_LT(widest, 0.5) << name;
    }
  }
}

TEST(IntervalScoresTest, AllKeysStoredMeansExactScores) {
  const Matrix<double> keys = test::NormalMatrix(60, 5, Seed{3});
  const Matrix<double> queries = test::NormalMatrix(9, 5, Seed{4});
  const ScoreFunction function = Power{1.5};
  const auto sets = FindQueryableSets(std::vector<AnyMatrixView>{keys.view()},
                                      {.epsilon = 0.05, .function = function},
                                      ComputeContext{TwoWorkers()});
  ASSERT_TRUE(sets.ok());
  ASSERT_EQ((*sets)[0].data().indices.size(), 60u);
  const auto rows =
      FindHeavyScores(*sets, std::vector<AnyMatrixView>{queries.view()},
                      {.epsilon = 0.05}, ComputeContext{TwoWorkers()});
  ASSERT_TRUE(rows.ok());
  const auto scores = test::BruteForceScores(
      function, test::Widened(queries.view()), test::Widened(keys.view()));
  for (Index i = 0; i < 9; ++i) {
    const HeavyRow& row = (*rows)[static_cast<std::size_t>(i)];
    EXPECT_THAT(row.scores_upper, testing::IsEmpty());
    test::ExpectSameAsBruteForce(row, scores, i, 0.05, test::Gamma(1 << 12));
  }
}

// Power means of random numbers under a cap, also where every number is the
// same or as uneven as the cap allows: there the ends are reached.
TEST(IntervalScoresTest, TheRestLiesInItsInterval) {
  const RandomStream random{Seed{5}, 0};
  for (const double p : {1.0, 1.5, 2.0, 3.0, 4.0, 64.0}) {
    for (int kind = 0; kind < 3; ++kind) {
      Rest rest;
      rest.keys = 50;
      double truth = 0.0;
      for (std::uint64_t u = 0; u < 50; ++u) {
        double square = random.Uniform(u);
        if (kind == 1) square = 0.25;
        if (kind == 2) square = u < 5 ? 0.25 : 0.0;
        rest.squares.lower += square;
        rest.largest = std::max(rest.largest, square);
        truth += std::pow(square, p / 2.0);
      }
      rest.squares.upper = rest.squares.lower;
      const Interval interval = RestOfPowers(rest, p, 0);
      const double slack = truth * test::Gamma(4096);
      EXPECT_LE(interval.lower, truth + slack) << p << "," << kind;
      EXPECT_GE(interval.upper, truth - slack) << p << "," << kind;
      if (kind == 1) {
        EXPECT_NEAR(interval.lower, truth, slack);
        EXPECT_NEAR(interval.upper, truth, slack);
      } else if (kind == 2) {
        EXPECT_NEAR(p >= 2.0 ? interval.upper : interval.lower, truth, slack);
      }
      // Another unit: t / 2^3.
      EXPECT_NEAR(RestOfPowers(rest, p, 3).upper * std::exp2(3.0 * p),
                  interval.upper, interval.upper * test::Gamma(4096));
    }
  }
  EXPECT_EQ(RestOfPowers({}, 3.0, 0).upper, 0.0);
}

}  // namespace
}  // namespace steelyard
