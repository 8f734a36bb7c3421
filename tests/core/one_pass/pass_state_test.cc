#include "one_pass/pass_state.h"

#include <algorithm>
#include <cmath>

#include "tests/core/one_pass/streams.h"
#include "tests/support/long_double_householder.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

using test::TestContext;

PassState NewState(Index columns, double epsilon) {
  return PassState({.columns = columns,
                    .storage = StorageType::kFloat64,
                    .epsilon = epsilon});
}

TEST(PassStateTest, ACandidateIsDroppedOnlyBelowEpsilonAmongTheKeysSoFar) {
  const Matrix<double> keys = test::NormalMatrix(4000, 5, Seed{71});
  PassState state = NewState(5, 0.004);
  for (const KeyRange& part : test::Blocks(4000, 200)) {
    ASSERT_TRUE(state
                    .AddPanel(SubView(keys.view(), part.first, part.count), 0,
                              TestContext())
                    .ok());
    const auto truth = test::LongDoubleLeverages(
        SubView(keys.view(), 0, part.first + part.count));
    const std::vector<Index> held = state.candidates().Joined().indices;
    for (Index j = 0; j < state.keys(); ++j) {
      if (truth[static_cast<std::size_t>(j)] < 0.004L) continue;
      ASSERT_TRUE(std::binary_search(held.begin(), held.end(), j));
    }
  }
  EXPECT_LT(state.candidates().size(), 4000 / 2);
  EXPECT_EQ(state.next_index(), 4000);
}

TEST(PassStateTest, AfterPruningTheBufferIsWithinItsBound) {
  const Matrix<double> keys = test::NormalMatrix(8000, 6, Seed{72});
  PassState state = NewState(6, 0.01);
  ASSERT_TRUE(state.AddPanel(keys.view(), 0, TestContext()).ok());
  ASSERT_TRUE(state.Prune(TestContext()).ok());
  const auto factor = state.CurrentFactor(TestContext());
  ASSERT_TRUE(factor.ok());
  EXPECT_LE(static_cast<double>(state.candidates().size()),
            6.0 * std::pow(1.0 + factor->delta, 2) / 0.01);
}

// rank < d: queries near the null space ask for more (EpsilonOfMembers).
TEST(PassStateTest, BelowFullRankLessIsDropped) {
  Matrix<double> keys = test::NormalMatrix(500, 4, Seed{73});
  for (Index i = 0; i < 500; ++i) keys(i, 3) = keys(i, 0);
  PassState state = NewState(4, 0.05);
  ASSERT_TRUE(state.AddPanel(keys.view(), 0, TestContext()).ok());
  const auto factor = state.CurrentFactor(TestContext());
  ASSERT_EQ(factor->rank, 3);
  const double threshold = EpsilonOfMembers(*factor, 0.05);
  // (2 + 30 / 16)^2 = 15.02
  EXPECT_NEAR(threshold, 0.05 / 15.015625, 1e-12);
  const auto truth = test::LongDoubleLeverages(keys.view(), 3);
  ASSERT_TRUE(state.Prune(TestContext()).ok());
  const std::vector<Index> held = state.candidates().Joined().indices;
  for (Index j = 0; j < 500; ++j) {
    EXPECT_EQ(truth[static_cast<std::size_t>(j)] >= threshold,
              std::binary_search(held.begin(), held.end(), j));
  }
}

// kappa 1e14: full rank, but nothing is certified, so nothing is dropped.
TEST(PassStateTest, WithoutACertifiedErrorNothingIsDropped) {
  const Matrix<double> keys = test::MatrixWithSingularValues(
      3000, test::GeometricValues(16, 1e14), Seed{75});
  PassState state = NewState(16, 0.5);
  for (const KeyRange& part : test::Blocks(3000, 1000)) {
    ASSERT_TRUE(state
                    .AddPanel(SubView(keys.view(), part.first, part.count), 0,
                              TestContext())
                    .ok());
  }
  ASSERT_TRUE(state.Prune(TestContext()).ok());
  const auto factor = state.CurrentFactor(TestContext());
  EXPECT_EQ(factor->rank, 16);
  EXPECT_TRUE(std::isinf(factor->delta));
  EXPECT_EQ(state.candidates().size(), 3000);
}

// One key takes all digits; what was certified before goes on excluding.
TEST(PassStateTest, AnUncertifiedFactorDoesNotReplaceACertifiedOne) {
  Matrix<double> keys = test::NormalMatrix(6001, 6, Seed{76});
  for (Index c = 0; c < 6; ++c) keys(2000, c) *= 5e15;
  PassState state = NewState(6, 0.02);
  for (const KeyRange& part :
       {KeyRange{0, 2000}, {2000, 1}, {2001, 2000}, {4001, 2000}}) {
    ASSERT_TRUE(state
                    .AddPanel(SubView(keys.view(), part.first, part.count), 0,
                              TestContext())
                    .ok());
  }
  const auto factor = state.CurrentFactor(TestContext());
  EXPECT_TRUE(std::isinf(factor->delta));
  EXPECT_LT(state.candidates().size(), 1000);
  const std::vector<Index> held = state.candidates().Joined().indices;
  EXPECT_TRUE(std::binary_search(held.begin(), held.end(), 2000));
}

TEST(PassStateTest, PanelsGrowWithTheKeysUpToALimit) {
  PassState state = NewState(4, 0.5);
  EXPECT_EQ(state.PanelRows(), PendingRows(4));
  const Matrix<double> keys = test::NormalMatrix(1000, 4, Seed{74});
  ASSERT_TRUE(state.AddPanel(keys.view(), 0, TestContext()).ok());
  EXPECT_EQ(state.PanelRows(), 1000);
  for (const Index d : {1, 8, 64, 128, 8192}) {
    EXPECT_GE(PendingRows(d), 64);
    EXPECT_LE(PendingRows(d) * d, std::max<Index>(64 * d, Index{1} << 18));
  }
}

}  // namespace
}  // namespace steelyard
