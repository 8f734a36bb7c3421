#include "universal_set/block_scores.h"

#include <cmath>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/bounds.h"
#include "tests/support/every_target.h"
#include "tests/support/long_double_householder.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

const Workers& TwoWorkers() {
  static const Workers workers(2);
  return workers;
}

template <typename T>
class BlockScoresTest : public testing::Test {};
using Storages = testing::Types<double, float, Half, BFloat16>;
TYPED_TEST_SUITE(BlockScoresTest, Storages);

TYPED_TEST(BlockScoresTest, ScoresAreThoseOfTheOracleWithinDelta) {
  test::OnEveryTarget([] {
    for (const Index d : {1, 5, 16, 27}) {
      const auto keys = test::KeysWithSpectrum<TypeParam>(
          {.rows = 90, .columns = d, .cond = d == 1 ? 1.0 : 1e3, .seed = {71}});
      const ComputeContext context{TwoWorkers()};
      const auto factor = ScanAndFactorMatrix(keys.view(), "keys", {}, context);
      ASSERT_TRUE(factor.ok()) << factor.status();
      const auto scorer =
          BlockScorer::Create(factor->r, factor->scales, context);
      ASSERT_TRUE(scorer.ok()) << scorer.status();
      ASSERT_GE(scorer->rows(), 61);
      std::vector<double> tau(61, -1.0);
      scorer->Score(keys.view(), 29, 61, {}, tau.data());
      const auto truth = test::LongDoubleLeverages(keys.view());
      for (std::size_t i = 0; i < tau.size(); ++i) {
        const auto exact = static_cast<double>(truth[29 + i]);
        EXPECT_NEAR(tau[i], exact, factor->delta * exact) << "d " << d;
      }
    }
  });
}

TEST(BlockScoresScalesTest, ColumnScalesChangeNothing) {
  const Index d = 9;
  const auto plain = test::KeysWithSpectrum<double>(
      {.rows = 40, .columns = d, .cond = 10.0, .seed = {72}});
  // With and without what the rows of R^-1 can carry.
  for (const int extreme : {250, 1000}) {
    test::StoredMatrix<double> shifted(40, d);
    for (Index i = 0; i < 40; ++i) {
      for (Index j = 0; j < d; ++j) {
        shifted.Set(
            i, j,
            std::ldexp(plain(i, j), j % 2 == 0 ? extreme - 10 : -extreme + 60));
      }
    }
    std::vector<double> scores[2];
    for (const bool is_shifted : {false, true}) {
      const AnyMatrixView view = is_shifted ? shifted.view() : plain.view();
      const ComputeContext context{TwoWorkers()};
      const auto factor = ScanAndFactorMatrix(view, "keys", {}, context);
      ASSERT_TRUE(factor.ok());
      const auto scorer =
          BlockScorer::Create(factor->r, factor->scales, context);
      ASSERT_TRUE(scorer.ok());
      std::vector<double>& tau = scores[is_shifted ? 1 : 0];
      tau.resize(40);
      scorer->Score(view, 0, 40, {}, tau.data());
    }
    EXPECT_EQ(scores[0], scores[1]) << extreme;
  }
}

TEST(BlockScoresWideTest, LargeOrdersAreSolvedWithTheSameScores) {
  // Past the order up to which R^-1 is formed. R is the identity but for its
  // scales, so that tau is the squared norm of a scaled row.
  constexpr Index kOrder = 1030;
  Matrix<double> r(kOrder, kOrder);
  for (Index i = 0; i < kOrder; ++i) r(i, i) = 1.0;
  const ColumnScales scales{std::vector<int>(kOrder, 1)};
  const Matrix<double> keys = test::NormalMatrix(3, kOrder, {73});
  const auto scorer = BlockScorer::Create(r, scales, {TwoWorkers()});
  ASSERT_TRUE(scorer.ok());
  double tau[3];
  scorer->Score(keys.view(), 0, 3, {}, tau);
  for (Index i = 0; i < 3; ++i) {
    double wanted = 0.0;
    for (Index c = 0; c < kOrder; ++c) wanted += keys(i, c) * keys(i, c) / 4.0;
    EXPECT_NEAR(tau[i], wanted, wanted * test::Gamma(2 * kOrder));
  }
}

TEST(BlockScoresStopTest, FormingTheInverseIsStopped) {
  Matrix<double> r(300, 300);
  for (Index i = 0; i < 300; ++i) r(i, i) = 1.0;
  const ColumnScales scales{std::vector<int>(300, 0)};
  StopSource source;
  source.RequestStop(StopReason::kCancelled);
  EXPECT_EQ(BlockScorer::Create(r, scales, {TwoWorkers(), source.token()})
                .status()
                .code(),
            absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace steelyard
