#include "queries/attend_head.h"

#include <cmath>

#include "gmock/gmock.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

TEST(AttendHeadTest, CommonKeysAreMembersAndSinksEachOnce) {
  Matrix<double> keys = test::NormalMatrix(500, 3, Seed{1});
  for (const Index heavy : {2, 77, 400}) {
    for (Index c = 0; c < 3; ++c) keys(heavy, c) *= 1e3;
  }
  const Matrix<double> values = test::NormalMatrix(500, 2, Seed{2});
  const Workers workers(2);
  const std::vector<AnyMatrixView> key_views({keys.view()});
  const std::vector<AnyMatrixView> value_views({values.view()});
  const auto found =
      FindAttendHeads(key_views, {}, value_views, {.epsilon = 0.2, .sinks = 4},
                      ComputeContext{workers});
  ASSERT_TRUE(found.ok()) << found.status();
  const AttendHead& head = found->heads.front();
  EXPECT_THAT(head.common, testing::ElementsAre(0, 1, 2, 3, 77, 400));
  for (Index u = 0; u < 6; ++u) {
    const Index key = head.common[static_cast<std::size_t>(u)];
    for (Index c = 0; c < 3; ++c) {
      EXPECT_EQ(std::ldexp(head.common_keys(u, c),
                           head.exponents[static_cast<std::size_t>(c)]),
                keys(key, c));
    }
    for (Index c = 0; c < 2; ++c) {
      EXPECT_EQ(head.common_values(u, c), values(key, c));
    }
  }
  EXPECT_TRUE(head.KnowsZ(500));
  EXPECT_FALSE(head.KnowsZ(499));
}

TEST(AttendHeadTest, WithoutASetOnlyTheSinksAreCommon) {
  const Matrix<double> keys = test::NormalMatrix(5, 3, Seed{3});
  const Workers workers(1);
  const std::vector<AnyMatrixView> views({keys.view()});
  const auto found =
      FindAttendHeads(views, {}, views, {.sinks = 9}, ComputeContext{workers});
  ASSERT_TRUE(found.ok());
  EXPECT_THAT(found->heads.front().common, testing::ElementsAre(0, 1, 2, 3, 4));
  EXPECT_FALSE(found->heads.front().KnowsZ(5));
}

TEST(AttendHeadTest, CommonKeysAreBounded) {
  EXPECT_EQ(MostCommonKeys(1000, 4, {.sinks = 7}), 7.0);
  EXPECT_EQ(MostCommonKeys(1000, 4, {.top_m = 3, .sinks = 7}), 10.0);
  EXPECT_EQ(MostCommonKeys(1000, 4, {.epsilon = 1e-4}), 1000.0);
  EXPECT_LT(MostCommonKeys(1000, 4, {.epsilon = 0.1}), 50.0);
  EXPECT_GE(CostOfAttendHeads(2, 1000, 4, 8, {.sinks = 7}, 2).bytes,
            2.0 * 7.0 * 12.0 * 8.0);
}

}  // namespace
}  // namespace steelyard
