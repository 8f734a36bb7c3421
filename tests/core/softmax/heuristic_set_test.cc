#include "softmax/heuristic_set.h"

#include <limits>

#include "gmock/gmock.h"
#include "steelyard/status.h"
#include "tests/support/bounds.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

const Workers& TwoWorkers() {
  static const Workers workers(2);
  return workers;
}

UniversalSetOptions Options(SoftmaxMode mode) {
  return {.epsilon = 0.1, .function = Softmax{.mode = mode, .scale = 1.0}};
}

TEST(HeuristicSetTest, IsTheSetOfTheCentredKeysAndPromisesNothing) {
  // Sums of dyadic numbers: the mean, and so the centred keys, are exact.
  Matrix<double> keys(64, 2);
  Matrix<double> centred(64, 2);
  for (Index j = 0; j < 64; ++j) {
    const double x = j % 2 == 0 ? 1.0 : -1.0;
    centred(j, 0) = j < 2 ? 16.0 * x : x;
    centred(j, 1) = (j / 2) % 2 == 0 ? 2.0 : -2.0;
    keys(j, 0) = centred(j, 0) + 1024.0;
    keys(j, 1) = centred(j, 1) - 8.0;
  }
  const auto found = FindSoftmaxSet(
      keys.view(), 0, Options(SoftmaxMode::kHeuristic), {TwoWorkers()});
  ASSERT_TRUE(found.ok()) << found.status();
  const auto expected =
      FindUniversalSet(centred.view(), {.epsilon = 0.1}, {TwoWorkers()});
  EXPECT_EQ(found->indices, expected->indices);
  EXPECT_THAT(found->indices, testing::ElementsAre(0, 1));
  for (std::size_t u = 0; u < found->sensitivities.size(); ++u) {
    EXPECT_NEAR(found->sensitivities[u], expected->sensitivities[u],
                test::HouseholderBound(2, 100.0));
  }
  EXPECT_THAT(found->method, StartsWith("heuristic: "));
  EXPECT_FALSE(found->exact);
  EXPECT_EQ(found->effective_epsilon, 1.0);
}

TEST(HeuristicSetTest, DispatchesFromFindUniversalSets) {
  const Matrix<double> keys = test::NormalMatrix(50, 3, Seed{1});
  const auto direct = FindSoftmaxSet(
      keys.view(), 0, Options(SoftmaxMode::kHeuristic), {TwoWorkers()});
  const auto found = FindUniversalSet(
      keys.view(), Options(SoftmaxMode::kHeuristic), {TwoWorkers()});
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->indices, direct->indices);
  EXPECT_EQ(found->method, direct->method);
}

TEST(HeuristicSetTest, CertifiedIsRefusedWithTheReason) {
  const Matrix<double> keys = test::NormalMatrix(50, 3, Seed{2});
  const auto found = FindUniversalSet(
      keys.view(), Options(SoftmaxMode::kCertified), {TwoWorkers()});
  ASSERT_EQ(found.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(found.status().message()),
              HasSubstr("exposed vertex"));
  EXPECT_EQ(DetailOf(found.status())->reason, "CONFLICTING_FIELDS");
  EXPECT_EQ(DetailOf(found.status())->field, "function");
}

TEST(HeuristicSetTest, NamesBadKeysAndSurvivesExtremeOnes) {
  Matrix<double> keys = test::NormalMatrix(50, 3, Seed{3});
  for (Index j = 0; j < 50; ++j) keys(j, 1) *= 1.5e307;
  EXPECT_TRUE(FindSoftmaxSet(keys.view(), 0, Options(SoftmaxMode::kHeuristic),
                             {TwoWorkers()})
                  .ok());
  keys(7, 0) = std::numeric_limits<double>::infinity();
  const auto found = FindSoftmaxSet(
      keys.view(), 100, Options(SoftmaxMode::kHeuristic), {TwoWorkers()});
  ASSERT_EQ(found.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(DetailOf(found.status())->metadata.at("index"), "321");
}

}  // namespace
}  // namespace steelyard
