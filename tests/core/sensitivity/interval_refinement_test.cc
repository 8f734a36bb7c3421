#include "sensitivity/interval_refinement.h"

#include <algorithm>

#include "gtest/gtest.h"
#include "tests/core/sensitivity/power_keys.h"

namespace steelyard {
namespace {

using test::PowerKeys;
using test::PreparedKeys;
using test::Tail;

std::vector<TermBounds> Terms(const PreparedKeys& prepared,
                              const std::vector<double>& exponents) {
  const Workers workers(2);
  std::vector<TermBounds> terms;
  for (const double p : exponents) {
    terms.push_back(*ComputeTermBounds(prepared.white, prepared.factored.scores,
                                       p, ComputeContext{workers}));
  }
  return terms;
}

std::vector<double> Ends(const IntervalRefinement& refinement, Index n) {
  std::vector<double> ends;
  for (Index j = 0; j < n; ++j) {
    ends.push_back(refinement.IntervalOf(j).lower);
    ends.push_back(refinement.IntervalOf(j).upper);
  }
  return ends;
}

// Half of the largest upper end: keys straddle it.
double EpsilonFor(const std::vector<TermBounds>& terms) {
  const std::vector<double>& upper = terms.front().upper;
  return 0.5 * *std::max_element(upper.begin(), upper.end());
}

constexpr double kPlenty = 1e12;

TEST(IntervalRefinementTest, NothingStraddlesEpsilonAfterwards) {
  const Matrix<double> keys = PowerKeys(300, 4, 10.0, Tail::kNormal, 3);
  const PreparedKeys prepared = test::Prepare(keys.view());
  for (const double p : {1.0, 1.5, 4.0}) {
    std::vector<TermBounds> terms = Terms(prepared, {p});
    const double epsilon = EpsilonFor(terms);
    IntervalRefinement refinement(prepared.white, &terms, {.epsilon = epsilon});
    const Workers workers(2);
    ASSERT_TRUE(refinement.Run(kPlenty, ComputeContext{workers}).ok());
    EXPECT_GT(refinement.keys_refined(), 0);
    for (Index j = 0; j < 300; ++j) {
      const SensitivityInterval interval = refinement.IntervalOf(j);
      EXPECT_TRUE(interval.upper < epsilon ||
                  (interval.lower >= epsilon && IsTight(interval)));
    }
  }
}

TEST(IntervalRefinementTest, TheBudgetIsKeptAndBitsDoNotDependOnWorkers) {
  const Matrix<double> keys = PowerKeys(300, 4, 10.0, Tail::kNormal, 3);
  const PreparedKeys prepared = test::Prepare(keys.view());
  const double step = FlopsOfRefinementStep(300, 4);
  for (const double steps : {0.0, 1.0, 30.0, 1e6}) {
    std::vector<std::vector<double>> ends;
    for (const int count : {1, 3}) {
      std::vector<TermBounds> terms = Terms(prepared, {1.5});
      IntervalRefinement refinement(prepared.white, &terms,
                                    {.epsilon = EpsilonFor(terms)});
      const Workers workers(count);
      ASSERT_TRUE(refinement.Run(steps * step, ComputeContext{workers}).ok());
      EXPECT_GE(refinement.flops_left(), 0.0);
      ends.push_back(Ends(refinement, 300));
    }
    EXPECT_EQ(ends[0], ends[1]);
  }
}

TEST(IntervalRefinementTest, ASumLiesBetweenItsTerms) {
  const Matrix<double> keys = PowerKeys(200, 3, 10.0, Tail::kHeavy, 3);
  const PreparedKeys prepared = test::Prepare(keys.view());
  std::vector<TermBounds> terms = Terms(prepared, {1.0, 2.0, 3.0});
  IntervalRefinement refinement(prepared.white, &terms, {.top_m = 200});
  EXPECT_EQ(refinement.CurrentEpsilon(), 0.0);
  const Workers workers(2);
  ASSERT_TRUE(refinement.Run(kPlenty, ComputeContext{workers}).ok());
  for (Index j = 0; j < 200; ++j) {
    const auto at = static_cast<std::size_t>(j);
    const SensitivityInterval interval = refinement.IntervalOf(j);
    EXPECT_EQ(interval.lower,
              std::min(interval.upper,
                       std::max(terms[0].lower[at], terms[2].lower[at])));
    EXPECT_EQ(interval.upper, std::max({terms[0].upper[at], terms[1].upper[at],
                                        terms[2].upper[at]}));
  }
}

TEST(IntervalRefinementTest, StopsWhenAsked) {
  const Matrix<double> keys = PowerKeys(300, 4, 10.0, Tail::kNormal, 3);
  const PreparedKeys prepared = test::Prepare(keys.view());
  const Workers workers(2);
  for (const std::int64_t look : {1, 50, 500}) {
    std::vector<TermBounds> terms = Terms(prepared, {1.0});
    IntervalRefinement refinement(prepared.white, &terms,
                                  {.epsilon = EpsilonFor(terms)});
    StopSource stop;
    stop.StopAtLook(look);
    EXPECT_EQ(
        refinement.Run(kPlenty, ComputeContext{workers, stop.token()}).code(),
        absl::StatusCode::kCancelled);
  }
}

}  // namespace
}  // namespace steelyard
