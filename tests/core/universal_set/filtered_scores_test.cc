#include "universal_set/filtered_scores.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/random.h"
#include "tests/support/matrices.h"
#include "universal_set/keys.h"

namespace steelyard {
namespace {

using testing::HasSubstr;
using testing::Not;

UniversalSet Find(const AnyMatrixView& keys, const UniversalSetOptions& options,
                  int worker_count = 2) {
  const Workers workers(worker_count);
  auto set = FindUniversalSet(keys, options, ComputeContext{workers});
  EXPECT_TRUE(set.ok()) << set.status();
  return set.ok() ? *set : UniversalSet{};
}

// Mostly small keys; every 97th is 30 times as long.
template <KeyScalar T>
test::StoredMatrix<T> PlantedKeys(Index n, Index d, double cond) {
  auto keys = test::KeysWithSpectrum<T>(
      {.rows = n, .columns = d, .cond = cond, .seed = {91}});
  for (Index i = 0; i < n; i += 97) {
    for (Index c = 0; c < d; ++c) keys.Set(i, c, 30.0 * keys(i, c));
  }
  return keys;
}

void ExpectSameSet(const UniversalSet& fast, const UniversalSet& direct) {
  EXPECT_EQ(fast.indices, direct.indices);
  EXPECT_EQ(fast.sensitivities, direct.sensitivities);
  EXPECT_EQ(fast.undecided, direct.undecided);
  EXPECT_EQ(fast.exact, direct.exact);
  EXPECT_EQ(fast.rank, direct.rank);
  EXPECT_EQ(fast.relative_score_error, direct.relative_score_error);
  // A bound on what is excluded, so never below the best of it.
  EXPECT_GE(fast.effective_epsilon, direct.effective_epsilon);
}

template <typename T>
class FilteredScoresTest : public testing::Test {};
using Storages = testing::Types<double, float, Half, BFloat16>;
TYPED_TEST_SUITE(FilteredScoresTest, Storages);

TYPED_TEST(FilteredScoresTest, FastIsTheDirectSetToTheBit) {
  for (const double cond : {1.0, 30.0, 1e4}) {
    const auto keys = PlantedKeys<TypeParam>(3000, 37, cond);
    for (const double epsilon : {0.9, 0.1, 0.02, 1e-9}) {
      UniversalSetOptions options{.epsilon = epsilon};
      options.selection = Selection::kDirect;
      const UniversalSet direct = Find(keys.view(), options);
      EXPECT_THAT(direct.method, Not(HasSubstr("bounds")));
      options.selection = Selection::kFast;
      const UniversalSet fast = Find(keys.view(), options);
      EXPECT_THAT(fast.method, HasSubstr("certain bounds"));
      ExpectSameSet(fast, direct);
      EXPECT_LT(fast.effective_epsilon, epsilon);
      // The scores sum to the rank; so does the direct sum, within delta.
      EXPECT_EQ(fast.total_sensitivity, 37.0);
      EXPECT_NEAR(direct.total_sensitivity, 37.0,
                  37.0 * direct.relative_score_error);
    }
  }
}

TEST(FilteredScoresEdgesTest, AKeyThatSitsOnEpsilonIsNotLost) {
  const auto keys = PlantedKeys<float>(2000, 16, 100.0);
  const UniversalSet all =
      Find(keys.view(), {.top_m = 2000, .selection = Selection::kDirect});
  std::vector<double> scores = all.sensitivities;
  std::sort(scores.begin(), scores.end());
  for (const std::size_t at : {1999u, 1990u, 1700u, 1000u, 0u}) {
    for (const double factor : {1.0 - 1e-12, 1.0, 1.0 + 1e-12}) {
      UniversalSetOptions options{.epsilon = scores[at] * factor};
      options.selection = Selection::kDirect;
      const UniversalSet direct = Find(keys.view(), options);
      options.selection = Selection::kFast;
      ExpectSameSet(Find(keys.view(), options), direct);
    }
  }
}

// Orthogonal columns, so that every bound is as tight as it can be: tau_j =
// ||k_j||^2 / s^2, and epsilon on both sides of it.
TYPED_TEST(FilteredScoresTest, BoundsWithinRoundingOfEpsilonLoseNoKey) {
  constexpr Index kOrder = 16;
  for (const double scale : {1.0, 0x1p-12, 0x1p6}) {
    Matrix<double> numbers(64 * kOrder, kOrder);
    for (Index i = 0; i < numbers.rows(); ++i) {
      // Every 8th group of 16 keys is twice as long; zeros between.
      const double length = i / kOrder % 8 == 0 ? 2.0 : 1.0;
      if (i / kOrder % 4 != 3) numbers(i, i % kOrder) = scale * length;
    }
    const auto keys = test::Stored<TypeParam>(numbers);
    // 8 keys of length 2 and 40 of length 1 a column.
    for (const double score : {4.0 / 72.0, 1.0 / 72.0}) {
      for (const double factor :
           {1.0, 1.0 - 1e-15, 1.0 + 1e-15, 1.0 - 1e-12, 1.0 + 1e-12, 1.02}) {
        UniversalSetOptions options{.epsilon = score * factor};
        options.selection = Selection::kDirect;
        const UniversalSet direct = Find(keys.view(), options);
        options.selection = Selection::kFast;
        ExpectSameSet(Find(keys.view(), options), direct);
        options.top_m = 3;
        const UniversalSet top = Find(keys.view(), options);
        options.selection = Selection::kDirect;
        EXPECT_EQ(top.indices, Find(keys.view(), options).indices);
      }
    }
  }
}

TEST(FilteredScoresLengthsTest, AreTheFirstBoundAndFloat32TheSecond) {
  // Lengths over two decades: few keys, some, nearly all are open to epsilon.
  const RandomStream random{Seed{94}, 0};
  for (const double cond : {1.0, 1e2, 1e6, 1e8}) {
    auto keys = test::KeysWithSpectrum<float>(
        {.rows = 4000, .columns = 24, .cond = cond, .seed = {95}});
    for (Index i = 0; i < 4000; ++i) {
      const double length =
          std::exp(1.5 * random.Normal(static_cast<std::uint64_t>(i)));
      for (Index c = 0; c < 24; ++c) {
        keys.Set(i, c, i % 50 == 7 ? 0.0 : length * keys(i, c));
      }
    }
    std::vector<std::string> methods;
    for (const double epsilon : {0.3, 0.03, 3e-3, 5e-4, 1e-6}) {
      UniversalSetOptions options{.epsilon = epsilon};
      options.selection = Selection::kDirect;
      const UniversalSet direct = Find(keys.view(), options);
      options.selection = Selection::kFast;
      methods.push_back(Find(keys.view(), options).method);
      ExpectSameSet(Find(keys.view(), options), direct);
    }
    if (cond > 1.0) continue;
    EXPECT_THAT(methods.front(), HasSubstr("bounds by length, "));
    EXPECT_THAT(methods,
                testing::Contains(HasSubstr("by length, then by a float32")));
    EXPECT_THAT(methods.back(), HasSubstr("bounds by a float32"));
  }
}

TEST(FilteredScoresEdgesTest, TopOfTheMembersIsTheSame) {
  const auto keys = PlantedKeys<float>(2000, 16, 10.0);
  UniversalSetOptions options{.epsilon = 0.05, .top_m = 7};
  options.selection = Selection::kDirect;
  const UniversalSet direct = Find(keys.view(), options);
  ASSERT_EQ(direct.indices.size(), 7u);
  options.selection = Selection::kFast;
  const UniversalSet fast = Find(keys.view(), options);
  EXPECT_EQ(fast.indices, direct.indices);
  // Members were cut: what they score is exact in both.
  EXPECT_EQ(fast.effective_epsilon, direct.effective_epsilon);
}

TEST(FilteredScoresEdgesTest, WithoutAFilterThatFitsTheWayIsDirect) {
  const auto keys = PlantedKeys<double>(500, 6, 10.0);
  for (const Selection selection :
       {Selection::kFast, Selection::kJohnsonLindenstrauss}) {
    // top_m alone, a rank below d, fewer keys than columns.
    EXPECT_THAT(Find(keys.view(), {.top_m = 3, .selection = selection}).method,
                Not(HasSubstr("scored in float64")));
    test::StoredMatrix<double> deficient = keys;
    for (Index i = 0; i < 500; ++i) deficient.Set(i, 4, deficient(i, 1));
    UniversalSetOptions options{.epsilon = 0.01};
    options.selection = selection;
    const UniversalSet set = Find(deficient.view(), options);
    EXPECT_EQ(set.rank, 5);
    EXPECT_THAT(set.method, Not(HasSubstr("scored in float64")));
    options.selection = Selection::kDirect;
    ExpectSameSet(set, Find(deficient.view(), options));
    const Matrix<double> few = test::NormalMatrix(3, 8, {92});
    options.selection = selection;
    EXPECT_EQ(Find(few.view(), options).indices.size(), 3u);
  }
}

TEST(FilteredScoresEdgesTest, ScalesAndLengthsLoseNoKey) {
  // Columns and keys over 600 decades; a member of length 1e-290.
  Matrix<double> keys = test::NormalMatrix(800, 6, {93});
  for (Index i = 0; i < 800; ++i) {
    const double length = i % 3 == 0 ? 1e-200 : 1.0;
    for (Index c = 0; c < 6; ++c) {
      keys(i, c) *=
          length * std::pow(10.0, 100.0 * static_cast<double>(c) - 300.0);
    }
    // Nobody else has the first column: it stands for itself.
    keys(i, 0) = i == 400 ? 1e-290 : keys(i, 0) * 1e-12;
  }
  for (const double epsilon : {1e-3, 0.05, 0.5}) {
    UniversalSetOptions options{.epsilon = epsilon};
    options.selection = Selection::kDirect;
    const UniversalSet direct = Find(keys.view(), options);
    options.selection = Selection::kFast;
    const UniversalSet fast = Find(keys.view(), options);
    ExpectSameSet(fast, direct);
    EXPECT_TRUE(std::binary_search(fast.indices.begin(), fast.indices.end(),
                                   Index{400}));
  }
}

TEST(FilteredScoresChoiceTest, AutomaticFiltersWhereMembersAreFew) {
  const auto many = PlantedKeys<float>(6000, 4, 3.0);
  const auto method = [&](const AnyMatrixView& keys, double epsilon) {
    return Find(keys, {.epsilon = epsilon}).method;
  };
  EXPECT_THAT(method(many.view(), 0.01), HasSubstr("certain bounds"));
  // 6000 keys of mean score 4 / 6000.
  EXPECT_THAT(method(many.view(), 1e-3), Not(HasSubstr("bounds")));
  const auto few = PlantedKeys<float>(60, 4, 3.0);
  EXPECT_THAT(method(few.view(), 0.9), Not(HasSubstr("bounds")));
}

TEST(FilteredScoresSketchTest, SaysWhatItIsAndFindsThePlantedKeys) {
  const auto keys = PlantedKeys<float>(3000, 64, 10.0);
  UniversalSetOptions options{.epsilon = 0.1};
  options.selection = Selection::kDirect;
  const UniversalSet direct = Find(keys.view(), options);
  options.selection = Selection::kJohnsonLindenstrauss;
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    options.seed = seed;
    const UniversalSet set = Find(keys.view(), options);
    // Missing one has a probability of 2e-12 (key_filter.h).
    EXPECT_EQ(set.indices, direct.indices);
    EXPECT_EQ(set.sensitivities, direct.sensitivities);
    EXPECT_FALSE(set.exact);
    EXPECT_THAT(set.method, HasSubstr("with probability below"));
    EXPECT_THAT(set.method, HasSubstr("seed " + std::to_string(seed)));
    EXPECT_LT(set.effective_epsilon, 0.1);
  }
}

TEST(FilteredScoresBitsTest, DoNotDependOnTheWorkers) {
  const auto keys = PlantedKeys<float>(5000, 24, 1e3);
  for (const Selection selection :
       {Selection::kFast, Selection::kJohnsonLindenstrauss}) {
    UniversalSetOptions options{.epsilon = 0.02};
    options.selection = selection;
    const UniversalSet one = Find(keys.view(), options, 1);
    for (const int count : {2, 3, 4}) {
      const UniversalSet many = Find(keys.view(), options, count);
      EXPECT_EQ(one.indices, many.indices);
      EXPECT_EQ(one.sensitivities, many.sensitivities);
      EXPECT_EQ(one.effective_epsilon, many.effective_epsilon);
      EXPECT_EQ(one.method, many.method);
    }
  }
}

TEST(FilteredScoresStopTest, EndsAtTheLookThatSaysStop) {
  const auto keys = PlantedKeys<float>(9000, 64, 10.0);
  const Workers workers(2);
  const auto factor = ScanAndFactorMatrix(keys.view(), "keys", {}, {workers});
  ASSERT_TRUE(factor.ok());
  UniversalSetOptions options{.epsilon = 0.01};
  options.selection = Selection::kFast;
  ASSERT_TRUE(UsesFilter(9000, *factor, options));
  StopSource whole;
  ASSERT_TRUE(ComputeFilteredScores(keys.view(), *factor, options,
                                    {workers, whole.token()})
                  .ok());
  const std::int64_t looks = whole.token().looks();
  EXPECT_GE(looks, 9000 / 1024);
  for (const std::int64_t look : {std::int64_t{1}, looks / 2, looks}) {
    StopSource source;
    source.StopAtLook(look);
    EXPECT_EQ(ComputeFilteredScores(keys.view(), *factor, options,
                                    {workers, source.token()})
                  .status()
                  .code(),
              absl::StatusCode::kCancelled);
  }
}

}  // namespace
}  // namespace steelyard
