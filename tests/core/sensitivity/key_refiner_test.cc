#include "sensitivity/key_refiner.h"

#include "gtest/gtest.h"
#include "tests/core/sensitivity/power_keys.h"
#include "tests/support/long_double_householder.h"
#include "tests/support/power_oracle.h"

namespace steelyard {
namespace {

using test::PowerKeys;
using test::PreparedKeys;
using test::Tail;

class KeyRefinerTest : public testing::TestWithParam<double> {
 protected:
  KeyRefinerTest()
      : keys_(PowerKeys(80, 2, 10.0, Tail::kNormal, 3)),
        prepared_(test::Prepare(keys_.view())),
        certificate_(prepared_.white, GetParam()),
        start_(*ComputeLewisBounds(prepared_.white, certificate_, context())),
        refiner_(prepared_.white, certificate_, start_) {}

  static ComputeContext context() {
    static const Workers workers(1);
    return ComputeContext{workers};
  }
  double Truth(Index j) const {
    return static_cast<double>(
        test::BestQuery(test::Widened(keys_.view()), j, GetParam())
            .sensitivity);
  }

  Matrix<double> keys_;
  PreparedKeys prepared_;
  PowerCertificate certificate_;
  LewisBounds start_;
  KeyRefiner refiner_;
};

TEST_P(KeyRefinerTest, TheValueIsTightAndHoldsTheTruth) {
  for (const Index j : {0, 40, 79}) {
    SensitivityInterval interval;
    const int steps =
        refiner_.Refine(j, {.epsilon = 0.0, .value = true, .steps_max = 60},
                        context(), &interval);
    EXPECT_GE(steps, 1);
    EXPECT_TRUE(IsTight(interval));
    const double truth = Truth(j);
    EXPECT_GE(interval.upper, truth);
    EXPECT_LE(interval.lower, truth * (1.0 + 1e-8));
  }
}

TEST_P(KeyRefinerTest, TheSideAloneTakesFewerStepsAndOneStepIsRespected) {
  const double truth = Truth(5);
  for (const double factor : {0.5, 2.0}) {
    SensitivityInterval side;
    SensitivityInterval value;
    const double epsilon = factor * truth;
    const int to_side = refiner_.Refine(
        5, {.epsilon = epsilon, .value = false, .steps_max = 60}, context(),
        &side);
    const int to_value = refiner_.Refine(
        5, {.epsilon = 0.0, .value = true, .steps_max = 60}, context(), &value);
    EXPECT_LE(to_side, to_value);
    EXPECT_TRUE(factor < 1.0 ? side.lower >= epsilon : side.upper < epsilon);
  }
  SensitivityInterval one;
  EXPECT_EQ(
      refiner_.Refine(5, {.value = true, .steps_max = 1}, context(), &one), 1);
}

TEST_P(KeyRefinerTest, ItsQueryProvesLowerEndsOfOtherKeys) {
  SensitivityInterval interval;
  refiner_.Refine(5, {.value = true, .steps_max = 60}, context(), &interval);
  std::vector<double> lower(80, 0.0);
  refiner_.RaiseLowerEnds(&lower);
  EXPECT_NEAR(lower[5], interval.lower, 2.0 * kTightInterval * interval.lower);
  for (Index j = 0; j < 80; j += 9) {
    EXPECT_LE(lower[static_cast<std::size_t>(j)], Truth(j) * (1.0 + 1e-8));
  }
}

INSTANTIATE_TEST_SUITE_P(Powers, KeyRefinerTest,
                         testing::Values(1.0, 1.5, 3.0, 64.0));

}  // namespace
}  // namespace steelyard
