#include "tests/support/planted_model.h"

#include <cmath>

#include "steelyard/universal_set.h"
#include "tests/support/bounds.h"
#include "tests/support/long_double_householder.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

test::PlantedRecovery Recover(const test::PlantedModel& model) {
  const Workers workers(2);
  const test::PlantedKeys planted = test::MakePlantedKeys(model);
  const auto set = FindUniversalSet(planted.keys.view(),
                                    {.epsilon = model.epsilon}, {workers});
  EXPECT_TRUE(set.ok()) << set.status();
  return test::RecoveryOf(planted, set->indices);
}

// d / n <= 0.03, s <= d; every seed that was tried.
TEST(PlantedModelTest, KeysAreRecoveredAboveTheThresholdAndLostBelow) {
  for (test::PlantedModel model :
       {test::PlantedModel{.n = 4000, .d = 16, .planted = 10},
        test::PlantedModel{.n = 4000, .d = 16, .planted = 16, .sigma = 1e-3},
        test::PlantedModel{.n = 3000, .d = 64, .planted = 8},
        test::PlantedModel{.n = 2000, .d = 32, .planted = 32, .epsilon = 0.2},
        test::PlantedModel{
            .n = 6000, .d = 24, .planted = 12, .epsilon = 0.05}}) {
    for (const std::uint64_t seed : {5, 15, 25}) {
      model.seed = seed;
      for (const double ratio : {0.8, 0.95, 1.05, 1.25}) {
        model.ratio = ratio;
        const test::PlantedRecovery recovery = Recover(model);
        EXPECT_EQ(recovery.recovered, ratio > 1.0 ? 1.0 : 0.0)
            << model.n << " x " << model.d << ", " << model.planted
            << " planted, seed " << seed << ", rho / rho* " << ratio;
        EXPECT_EQ(recovery.others, 0);
      }
    }
  }
}

TEST(PlantedModelTest, PlantsOrthogonalKeysOfTheSameNorm) {
  const test::PlantedModel model{.n = 300,
                                 .d = 8,
                                 .planted = 5,
                                 .sigma = 2.0,
                                 .ratio = 3.0,
                                 .epsilon = 0.25};
  const test::PlantedKeys planted = test::MakePlantedKeys(model);
  // nu = 300 * 4 / 8, rho*^2 = nu / 3
  EXPECT_NEAR(planted.rho, 3.0 * std::sqrt(50.0), planted.rho * test::Gamma(8));
  ASSERT_EQ(planted.positions.size(), 5u);
  for (const Index a : planted.positions) {
    for (const Index b : planted.positions) {
      double product = 0.0;
      for (Index c = 0; c < 8; ++c) {
        product += planted.keys(a, c) * planted.keys(b, c);
      }
      const double square = planted.rho * planted.rho;
      EXPECT_NEAR(product, a == b ? square : 0.0,
                  square * test::HouseholderBound(8, 1.0));
    }
  }
}

TEST(PlantedModelTest, CountsWhatWasRecoveredAndWhatWasNotPlanted) {
  const test::PlantedKeys planted{Matrix<double>(9, 1), {2, 5, 7}, 1.0};
  const auto recovery = test::RecoveryOf(planted, {1, 2, 7, 8});
  EXPECT_EQ(recovery.recovered, 2.0 / 3.0);
  EXPECT_EQ(recovery.others, 2);
}

}  // namespace
}  // namespace steelyard
