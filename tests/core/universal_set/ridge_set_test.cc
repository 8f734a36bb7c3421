#include "universal_set/ridge_set.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "gmock/gmock.h"
#include "steelyard/status.h"
#include "tests/support/attention_oracle.h"
#include "tests/support/bounds.h"
#include "tests/support/long_double_householder.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

const Workers& TwoWorkers() {
  static const Workers workers(2);
  return workers;
}

UniversalSet Find(const AnyMatrixView& keys, double epsilon,
                  std::optional<RidgeVariant> ridge) {
  const auto set = FindUniversalSet(keys, {.epsilon = epsilon, .ridge = ridge},
                                    {TwoWorkers()});
  EXPECT_TRUE(set.ok()) << set.status();
  return set.ok() ? *set : UniversalSet{};
}

// Leverage scores of the first n rows of [K; sqrt(lambda) I].
std::vector<long double> RidgeScores(const AnyMatrixView& keys, double lambda) {
  const Matrix<long double> k = test::Widened(keys);
  Matrix<long double> extended(k.rows() + k.cols(), k.cols());
  std::copy_n(k.data(), k.size(), extended.data());
  for (Index c = 0; c < k.cols(); ++c) {
    extended(k.rows() + c, c) = std::sqrt(static_cast<long double>(lambda));
  }
  const test::LongDoubleQr qr = test::LongDoubleHouseholder(extended);
  std::vector<long double> scores;
  for (Index j = 0; j < k.rows(); ++j) {
    long double square = 0.0L;
    for (Index c = 0; c < k.cols(); ++c) square += qr.q(j, c) * qr.q(j, c);
    scores.push_back(square);
  }
  return scores;
}

bool Satisfies(const Matrix<long double>& queries, Index i,
               const Matrix<long double>& keys, const RidgeVariant& ridge) {
  long double z = 0.0L;
  long double square = 0.0L;
  for (Index j = 0; j < keys.rows(); ++j) {
    long double product = 0.0L;
    for (Index c = 0; c < keys.cols(); ++c) {
      product += queries(i, c) * keys(j, c);
    }
    z += product * product;
  }
  for (Index c = 0; c < keys.cols(); ++c)
    square += queries(i, c) * queries(i, c);
  return z >= static_cast<long double>(ridge.ratio) * ridge.lambda * square;
}

// Random queries, those that attain tau, and those that attain the ridge score.
Matrix<long double> Queries(const AnyMatrixView& keys, double lambda) {
  const Matrix<long double> k = test::Widened(keys);
  Matrix<double> extended(k.rows() + k.cols(), k.cols());
  for (Index i = 0; i < k.size(); ++i) {
    extended.data()[i] = static_cast<double>(k.data()[i]);
  }
  for (Index c = 0; c < k.cols(); ++c) {
    extended(k.rows() + c, c) = std::sqrt(lambda);
  }
  const auto plain = test::AttainingQueries(keys);
  const auto ridge = test::AttainingQueries(extended.view());
  const auto random = test::NormalMatrix(k.rows(), k.cols(), Seed{99});
  Matrix<long double> queries(3 * k.rows(), k.cols());
  for (Index i = 0; i < k.rows(); ++i) {
    for (Index c = 0; c < k.cols(); ++c) {
      queries(i, c) = plain(i, c);
      queries(k.rows() + i, c) = ridge(i, c);
      queries(2 * k.rows() + i, c) = random(i, c);
    }
  }
  return queries;
}

template <typename T>
class RidgeSetTest : public testing::Test {};
using StorageTypes = testing::Types<Half, BFloat16, float, double>;
TYPED_TEST_SUITE(RidgeSetTest, StorageTypes);

// Singular values fall from 1 to 1e-3: lambda sits inside the spectrum.
TYPED_TEST(RidgeSetTest, MissesNoKeyOfAQueryThatSatisfiesTheCondition) {
  const auto keys = test::KeysWithSpectrum<TypeParam>(
      {.rows = 150, .columns = 6, .cond = 1e3, .seed = Seed{1}});
  const auto wide = test::Widened(keys.view());
  const double epsilon = 0.06;
  const UniversalSet plain = Find(keys.view(), epsilon, std::nullopt);
  const double slack = test::GramBound(256, 6, 1e3);
  for (const double lambda : {1e-4, 1e-3, 1e-2}) {
    for (const double ratio : {0.5, 2.0, 10.0}) {
      const RidgeVariant ridge{lambda, ratio};
      const UniversalSet set = Find(keys.view(), epsilon, ridge);
      EXPECT_TRUE(std::includes(plain.indices.begin(), plain.indices.end(),
                                set.indices.begin(), set.indices.end()));
      EXPECT_LE(static_cast<double>(set.indices.size()), set.size_bound);
      const Matrix<long double> queries = Queries(keys.view(), lambda);
      const auto scores = test::BruteForceScores(queries, wide);
      int satisfied = 0;
      for (Index i = 0; i < queries.rows(); ++i) {
        if (!Satisfies(queries, i, wide, ridge)) continue;
        ++satisfied;
        for (Index j = 0; j < 150; ++j) {
          const bool member =
              std::binary_search(set.indices.begin(), set.indices.end(), j);
          if (member) continue;
          EXPECT_LT(scores(i, j), epsilon);
          EXPECT_LE(static_cast<double>(scores(i, j)),
                    set.effective_epsilon * (1.0 + slack));
        }
      }
      EXPECT_GE(satisfied, 20);
    }
  }
}

TEST(RidgeSetPropertyTest, IsTheSetOfBothConditions) {
  const auto keys = test::KeysWithSpectrum<double>(
      {.rows = 200, .columns = 8, .cond = 100.0, .seed = Seed{2}});
  const RidgeVariant ridge{.lambda = 0.01, .ratio = 4.0};
  const double epsilon = 0.05;
  const auto tau = RidgeScores(keys.view(), 0.0);
  const auto damped = RidgeScores(keys.view(), ridge.lambda);
  const UniversalSet set = Find(keys.view(), epsilon, ridge);
  ASSERT_TRUE(set.exact);
  std::vector<Index> expected;
  double total = 0.0;
  for (Index j = 0; j < 200; ++j) {
    const auto at = static_cast<std::size_t>(j);
    const auto sigma =
        static_cast<double>(std::min(tau[at], 1.25L * damped[at]));
    total += sigma;
    if (sigma >= epsilon) expected.push_back(j);
  }
  EXPECT_EQ(set.indices, expected);
  EXPECT_LT(set.indices.size(),
            Find(keys.view(), epsilon, std::nullopt).indices.size());
  const double bound = test::GramBound(256, 8, 100.0);
  EXPECT_NEAR(set.total_sensitivity, total, total * bound);
  for (std::size_t u = 0; u < set.indices.size(); ++u) {
    const auto at = static_cast<std::size_t>(set.indices[u]);
    EXPECT_NEAR(set.sensitivities[u],
                static_cast<double>(std::min(tau[at], 1.25L * damped[at])),
                bound);
  }
}

TEST(RidgeSetPropertyTest, AMarkedBoundIsOneAndTheOthersAreReached) {
  const auto keys = test::KeysWithSpectrum<double>(
      {.rows = 100, .columns = 5, .cond = 50.0, .seed = Seed{3}});
  const RidgeVariant ridge{.lambda = 0.02, .ratio = 1.0};
  const UniversalSet set = Find(keys.view(), 0.02, ridge);
  const auto wide = test::Widened(keys.view());
  const auto attaining = test::AttainingQueries(keys.view());
  const auto tau = RidgeScores(keys.view(), 0.0);
  ASSERT_EQ(set.upper_bounds.size(), set.indices.size());
  int reached = 0;
  for (std::size_t u = 0; u < set.indices.size(); ++u) {
    if (set.upper_bounds[u] != 0) continue;
    ++reached;
    EXPECT_TRUE(Satisfies(attaining, set.indices[u], wide, ridge));
    EXPECT_NEAR(
        set.sensitivities[u],
        static_cast<double>(tau[static_cast<std::size_t>(set.indices[u])]),
        test::GramBound(256, 5, 50.0));
  }
  EXPECT_GT(reached, 0);
  EXPECT_LT(reached, static_cast<int>(set.indices.size()));
}

TEST(RidgeSetEdgeTest, ASmallLambdaGivesThePlainSetAndALargeOneNone) {
  const auto keys = test::KeysWithSpectrum<double>(
      {.rows = 90, .columns = 4, .cond = 10.0, .seed = Seed{4}});
  const UniversalSet plain = Find(keys.view(), 0.05, std::nullopt);
  ASSERT_FALSE(plain.indices.empty());
  for (const double lambda : {1e-8, 1e-300, 5e-324}) {
    const UniversalSet set = Find(keys.view(), 0.05, RidgeVariant{lambda, 1.0});
    EXPECT_EQ(set.indices, plain.indices) << lambda;
    EXPECT_THAT(set.upper_bounds, testing::Each(0)) << lambda;
  }
  for (const double lambda : {1e6, 1e150, 1e308}) {
    const UniversalSet set = Find(keys.view(), 0.05, RidgeVariant{lambda, 1.0});
    EXPECT_THAT(set.indices, testing::IsEmpty()) << lambda;
    EXPECT_LT(set.effective_epsilon, 1e-5);
    EXPECT_TRUE(set.exact);
  }
}

TEST(RidgeSetEdgeTest, DeficientAndZeroKeys) {
  Matrix<double> keys = test::NormalMatrix(60, 4, Seed{5});
  for (Index j = 0; j < 60; ++j) keys(j, 3) = keys(j, 0);
  const UniversalSet plain = Find(keys.view(), 0.05, std::nullopt);
  const UniversalSet set =
      Find(keys.view(), 0.05, RidgeVariant{.lambda = 1.0, .ratio = 1e-320});
  EXPECT_EQ(set.indices, plain.indices);  // (1 + 1/c) bounds nothing
  const UniversalSet smaller =
      Find(keys.view(), 0.05, RidgeVariant{.lambda = 100.0, .ratio = 10.0});
  EXPECT_LT(smaller.indices.size(), plain.indices.size());
  EXPECT_EQ(smaller.rank, 3);
  const Matrix<float> zero(30, 3);
  EXPECT_THAT(Find(zero.view(), 0.1, RidgeVariant{1.0, 1.0}).indices,
              testing::IsEmpty());
  const Matrix<double> few = test::NormalMatrix(2, 5, Seed{6});
  const UniversalSet wide = Find(few.view(), 0.5, RidgeVariant{1e-9, 1.0});
  EXPECT_THAT(wide.indices, testing::ElementsAre(0, 1));
}

TEST(RidgeSetErrorTest, RefusesWhatItDoesNotCover) {
  const Matrix<double> keys = test::NormalMatrix(20, 3, Seed{7});
  const RidgeVariant good{1.0, 1.0};
  const auto reason = [&](const UniversalSetOptions& options) {
    const auto set = FindUniversalSet(keys.view(), options, {TwoWorkers()});
    EXPECT_EQ(set.status().code(), absl::StatusCode::kInvalidArgument);
    const auto detail = DetailOf(set.status());
    return detail.has_value() ? detail->reason + " " + detail->field : "";
  };
  EXPECT_EQ(reason({.epsilon = 0.1, .function = Power{4.0}, .ridge = good}),
            "CONFLICTING_FIELDS ridge");
  EXPECT_EQ(reason({.epsilon = 0.1, .causal = true, .ridge = good}),
            "CONFLICTING_FIELDS ridge");
  EXPECT_EQ(reason({.epsilon = 0.1, .ridge = RidgeVariant{-1.0, 1.0}}),
            "FIELD_OUT_OF_RANGE ridge.lambda");
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(reason({.epsilon = 0.1, .ridge = RidgeVariant{1.0, infinity}}),
            "FIELD_OUT_OF_RANGE ridge.ratio");
  StopSource source;
  source.RequestStop(StopReason::kCancelled);
  EXPECT_EQ(FindUniversalSet(keys.view(), {.epsilon = 0.1, .ridge = good},
                             {TwoWorkers(), source.token()})
                .status()
                .code(),
            absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace steelyard
