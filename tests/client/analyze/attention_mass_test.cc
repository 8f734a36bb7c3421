#include "client/analyze/attention_mass.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "client/tensor_files/stored_tensor.h"

namespace steelyard::analyze {
namespace {

using tensor_files::StoredTensor;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

StoredTensor Normal(int64_t rows, int64_t columns, double size, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<double> normal(0.0, size);
  std::vector<double> numbers(static_cast<std::size_t>(rows * columns));
  for (double& x : numbers) x = normal(engine);
  return StoredTensor::Of(numbers, {rows, columns});
}

verify::Rows Whole(const StoredTensor& tensor) {
  return {tensor, 0, tensor.shape()[0], tensor.shape()[1]};
}

// All scores of query i, one by one.
std::vector<long double> Scores(const StoredTensor& keys,
                                const StoredTensor& queries, int64_t i,
                                const MassOptions& options, int64_t visible) {
  const std::vector<double> k = keys.Doubles();
  const std::vector<double> q = queries.Doubles();
  const int64_t d = keys.shape()[1];
  std::vector<long double> scores;
  long double sum = 0.0L;
  for (int64_t j = 0; j < visible; ++j) {
    long double x = 0.0L;
    for (int64_t c = 0; c < d; ++c) {
      x += static_cast<long double>(q[static_cast<std::size_t>(i * d + c)]) *
           k[static_cast<std::size_t>(j * d + c)];
    }
    scores.push_back(options.power ? std::pow(std::abs(x), *options.power)
                                   : std::exp(options.scale * x));
    sum += scores.back();
  }
  for (long double& score : scores) score /= sum;
  return scores;
}

struct Expected {
  double top = 0.0;
  double near = 0.0;
  double important = 0.0;
  double both = 0.0;
};

Expected ByHand(std::vector<long double> scores, int64_t position,
                const std::vector<int64_t>& important,
                const MassOptions& options) {
  Expected expected;
  const auto n = static_cast<int64_t>(scores.size());
  const std::vector<int64_t> near = KeysNear(options.near, position, n);
  for (int64_t j = 0; j < n; ++j) {
    const auto score = static_cast<double>(scores[static_cast<std::size_t>(j)]);
    const bool is_near = std::count(near.begin(), near.end(), j) > 0;
    const bool matters = std::count(important.begin(), important.end(), j) > 0;
    if (is_near) expected.near += score;
    if (matters) expected.important += score;
    if (is_near || matters) expected.both += score;
  }
  std::sort(scores.rbegin(), scores.rend());
  for (int64_t j = 0; j < std::min(n, options.top); ++j) {
    expected.top += static_cast<double>(scores[static_cast<std::size_t>(j)]);
  }
  return expected;
}

class AttentionMassTest : public testing::TestWithParam<MassOptions> {};

TEST_P(AttentionMassTest, EqualsTheSumsByHand) {
  const int64_t n = 90;
  const int64_t m = 70;
  const StoredTensor keys = Normal(n, 5, 1.0, 1);
  const StoredTensor queries = Normal(m, 5, 2.0, 2);
  const std::vector<int64_t> important = {0, 3, 40, 41, 89};
  const MassOptions& options = GetParam();
  const auto masses = MassesOf(Whole(keys), Whole(queries), important, options);
  ASSERT_TRUE(masses.ok());
  ASSERT_EQ(masses->top.size(), 70u);
  EXPECT_EQ(masses->undefined, 0);
  // Logits, exponentials and sums of n terms: (d + n + 10) u, and exp
  // multiplies the error of a logit by its size.
  const double most = 1e3 * static_cast<double>(n) * 0x1p-53;
  for (int64_t i = 0; i < m; ++i) {
    const int64_t position = n - m + i;
    const int64_t visible = options.causal ? position + 1 : n;
    const Expected expected = ByHand(Scores(keys, queries, i, options, visible),
                                     position, important, options);
    const auto at = static_cast<std::size_t>(i);
    EXPECT_NEAR(masses->top[at], expected.top, most);
    EXPECT_NEAR(masses->near[at], expected.near, most);
    EXPECT_NEAR(masses->important[at], expected.important, most);
    EXPECT_NEAR(masses->important_and_near[at], expected.both, most);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Options, AttentionMassTest,
    testing::Values(
        MassOptions{.scale = 0.5, .top = 4, .near = Window{2}},
        MassOptions{.scale = 0.5, .top = 4, .near = Window{2}, .causal = true},
        MassOptions{.power = 2.0, .top = 90, .near = Window{0}},
        MassOptions{.power = 1.5,
                    .top = 1000,
                    .near = PatchGrid{
                        .height = 9, .width = 9, .first = 1, .radius = 2}}));

TEST(AttentionMassOfOneTest, LogitsThatOverflowExpStillHaveScores) {
  const auto keys =
      StoredTensor::Of(std::vector<double>{1e3, 2e3, -1e3}, {3, 1});
  const auto queries = StoredTensor::Of(std::vector<double>{5.0}, {1, 1});
  const auto masses =
      MassesOf(Whole(keys), Whole(queries), std::vector<int64_t>{1},
               {.scale = 1.0, .top = 1, .near = Window{0}});
  ASSERT_TRUE(masses.ok());
  EXPECT_EQ(masses->top[0], 1.0);
  EXPECT_EQ(masses->important[0], 1.0);
  EXPECT_EQ(masses->near[0], 0.0);  // The query stands at the last key.
  EXPECT_EQ(masses->keys_kept, 2.0);
}

TEST(AttentionMassOfOneTest, AQueryWithoutScoresIsCountedAsUndefined) {
  const auto keys = StoredTensor::Of(std::vector<double>{1.0, 2.0}, {2, 1});
  const auto queries = StoredTensor::Of(std::vector<double>{0.0, 1.0}, {2, 1});
  const auto masses = MassesOf(Whole(keys), Whole(queries), {}, {.power = 2.0});
  ASSERT_TRUE(masses.ok());
  EXPECT_EQ(masses->undefined, 1);
  EXPECT_EQ(masses->top.size(), 1u);
}

TEST(AttentionMassOfOneTest, OverTheMostQueriesAreTakenEvenly) {
  const StoredTensor keys = Normal(50, 3, 1.0, 1);
  const StoredTensor queries = Normal(50, 3, 1.0, 2);
  MassOptions options{.top = 3, .queries_max = 2};
  const auto two = MassesOf(Whole(keys), Whole(queries), {}, options);
  options.queries_max = 1000;
  const auto all = MassesOf(Whole(keys), Whole(queries), {}, options);
  ASSERT_TRUE(two.ok() && all.ok());
  ASSERT_EQ(two->top.size(), 2u);
  EXPECT_EQ(two->top.front(), all->top.front());
  EXPECT_EQ(two->top.back(), all->top.back());
}

TEST(AttentionMassOfOneTest, AQueryThatIsNotFiniteIsNamed) {
  const auto keys = StoredTensor::Of(std::vector<double>{1.0, 2.0}, {2, 1});
  const auto queries = StoredTensor::Of(
      std::vector<double>{1.0, std::numeric_limits<double>::infinity()},
      {2, 1});
  const auto masses = MassesOf(Whole(keys), Whole(queries), {}, {});
  EXPECT_EQ(masses.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(masses.status().message()), HasSubstr("query 1 "));
}

}  // namespace
}  // namespace steelyard::analyze
