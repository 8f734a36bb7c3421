#include "universal_set/membership.h"

#include <limits>

#include "gmock/gmock.h"

namespace steelyard {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

UniversalSet Select(std::vector<double> tau, double delta,
                    const UniversalSetOptions& options,
                    std::vector<Index> new_direction = {}) {
  UniversalSet set;
  SelectMembers({std::move(tau), std::move(new_direction), delta}, options,
                &set);
  return set;
}

TEST(MembershipTest, SplitsIntoCertainUndecidedAndExcluded) {
  // epsilon 0.5, delta 0.1: certain from 0.55, excluded below 0.5 / 1.1.
  const UniversalSet set =
      Select({0.56, 0.549, 0.46, 0.454, 0.1}, 0.1, {.epsilon = 0.5});
  EXPECT_THAT(set.indices, ElementsAre(0, 1, 2));
  EXPECT_THAT(set.sensitivities, ElementsAre(0.56, 0.549, 0.46));
  EXPECT_THAT(set.undecided, ElementsAre(1, 2));
  EXPECT_FALSE(set.exact);
  EXPECT_DOUBLE_EQ(set.effective_epsilon, 0.454 * 1.1);
  EXPECT_LT(set.effective_epsilon, 0.5);
}

TEST(MembershipTest, EpsilonAtAScoreIsUndecidedUnlessThereIsNoError) {
  const UniversalSet rounded = Select({0.5, 0.2}, 1e-15, {.epsilon = 0.5});
  EXPECT_THAT(rounded.indices, ElementsAre(0));
  EXPECT_THAT(rounded.undecided, ElementsAre(0));
  const UniversalSet exact = Select({0.5, 0.2}, 0.0, {.epsilon = 0.5});
  EXPECT_THAT(exact.indices, ElementsAre(0));
  EXPECT_TRUE(exact.exact);
}

TEST(MembershipTest, TopMTakesTheMostSensitiveTiesToTheLowerIndex) {
  const UniversalSet set = Select({0.3, 0.9, 0.3, 0.1}, 0.0, {.top_m = 2});
  EXPECT_THAT(set.indices, ElementsAre(0, 1));
  EXPECT_DOUBLE_EQ(set.effective_epsilon, 0.3);
  // Key 0 ties with key 2 outside: which of them belongs is not decided.
  EXPECT_THAT(set.undecided, ElementsAre(0));
}

TEST(MembershipTest, TopMWithAClearGapIsExact) {
  const UniversalSet set = Select({0.3, 0.9, 0.2}, 1e-3, {.top_m = 2});
  EXPECT_THAT(set.indices, ElementsAre(0, 1));
  EXPECT_TRUE(set.exact);
  EXPECT_DOUBLE_EQ(set.effective_epsilon, 0.2 * 1.001);
}

TEST(MembershipTest, TopMCutsOnlyMembersOfEpsilon) {
  const UniversalSetOptions options{.epsilon = 0.25, .top_m = 3};
  EXPECT_THAT(Select({0.3, 0.9, 0.2}, 0.0, options).indices, ElementsAre(0, 1));
  EXPECT_THAT(Select({0.3, 0.9, 0.4, 0.5}, 0.0, options).indices,
              ElementsAre(1, 2, 3));
}

TEST(MembershipTest, TopMOfAtLeastNTakesAll) {
  const UniversalSet set = Select({0.0, 0.9}, 1e-3, {.top_m = 5});
  EXPECT_THAT(set.indices, ElementsAre(0, 1));
  EXPECT_EQ(set.effective_epsilon, 0.0);
  EXPECT_TRUE(set.exact);
}

TEST(MembershipTest, AnInfiniteErrorBoundDropsOnlyZeroKeys) {
  const double infinity = std::numeric_limits<double>::infinity();
  const UniversalSet set = Select({0.3, 0.0, 1e-9}, infinity, {.epsilon = 0.5});
  EXPECT_THAT(set.indices, ElementsAre(0, 2));
  EXPECT_THAT(set.undecided, ElementsAre(0, 2));
  EXPECT_EQ(set.effective_epsilon, 0.0);
}

TEST(MembershipTest, NewDirectionsAreAlwaysMembersAndCertain) {
  const UniversalSet set =
      Select({1.0, 0.2, 0.6}, 0.7, {.epsilon = 1.0}, {0});
  EXPECT_THAT(set.indices, ElementsAre(0, 2));
  EXPECT_THAT(set.new_direction, ElementsAre(0));
  EXPECT_THAT(set.undecided, ElementsAre(2));
}

TEST(MembershipTest, NobodyIsAMemberOfAnEmptySet) {
  const UniversalSet set = Select({0.1, 0.2}, 0.0, {.epsilon = 0.4});
  EXPECT_THAT(set.indices, IsEmpty());
  EXPECT_TRUE(set.exact);
  EXPECT_DOUBLE_EQ(set.effective_epsilon, 0.2);
}

// 1e5 terms of 0.1 whose plain sum is off by 1.9e-9: Neumaier's is within u.
TEST(MembershipTest, TheTotalIsSummedWithoutDrift) {
  const UniversalSet set =
      Select(std::vector<double>(100000, 0.1), 0.0, {.epsilon = 0.5});
  EXPECT_NEAR(set.total_sensitivity, 10000.0, 10000.0 * 0x1p-52);
}

}  // namespace
}  // namespace steelyard
