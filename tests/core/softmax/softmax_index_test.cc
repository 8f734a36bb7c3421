#include "steelyard/softmax_index.h"

#include <cmath>
#include <limits>

#include "gmock/gmock.h"
#include "steelyard/status.h"
#include "tests/core/softmax/softmax_oracle.h"
#include "tests/support/attention_fixture.h"
#include "tests/support/bounds.h"
#include "tests/support/long_double_householder.h"
#include "tests/support/matrices.h"
#include "tests/support/source_paths.h"

namespace steelyard {
namespace {

using testing::ElementsAre;

// Logits of these tests stay below 100; see page_scan_test.cc.
const double kSlack = test::Gamma(1000000);

const Workers& TwoWorkers() {
  static const Workers workers(2);
  return workers;
}

std::vector<HeavyRow> Find(const std::vector<AnyMatrixView>& keys,
                           const std::vector<AnyMatrixView>& queries,
                           const HeavyOptions& options) {
  const auto indexes =
      BuildSoftmaxIndexes(keys, {.causal = options.causal}, {TwoWorkers()});
  EXPECT_TRUE(indexes.ok()) << indexes.status();
  const auto rows = FindHeavyScores(*indexes, queries, options, {TwoWorkers()});
  EXPECT_TRUE(rows.ok()) << rows.status();
  return rows.ok() ? *rows : std::vector<HeavyRow>{};
}

HeavyOptions Options(double epsilon, double scale) {
  return {.epsilon = epsilon, .function = Softmax{.scale = scale}};
}

template <typename T>
class SoftmaxIndexTest : public testing::Test {};
using StorageTypes = testing::Types<Half, BFloat16, float, double>;
TYPED_TEST_SUITE(SoftmaxIndexTest, StorageTypes);

TYPED_TEST(SoftmaxIndexTest, GroupedQueriesEqualBruteForce) {
  std::vector<test::StoredMatrix<TypeParam>> keys, queries;
  std::vector<AnyMatrixView> key_views, query_views;
  for (std::uint64_t h = 0; h < 2; ++h) {  // ragged: 130 and 170 keys
    keys.push_back(test::Stored<TypeParam>(
        test::NormalMatrix(130 + 40 * static_cast<Index>(h), 6, Seed{h})));
  }
  for (std::uint64_t g = 0; g < 6; ++g) {
    queries.push_back(
        test::Stored<TypeParam>(test::NormalMatrix(70, 6, Seed{10 + g})));
  }
  for (const auto& head : keys) key_views.push_back(head.view());
  for (const auto& head : queries) query_views.push_back(head.view());
  const auto rows = Find(key_views, query_views, Options(0.03, 1.0));
  ASSERT_EQ(rows.size(), 6u * 70u);
  for (std::size_t g = 0; g < 6; ++g) {
    const auto scores = test::BruteForceSoftmax(
        test::Widened(query_views[g]), test::Widened(key_views[g / 3]), 1.0);
    for (std::size_t i = 0; i < 70; ++i) {
      test::ExpectProven(rows[g * 70 + i], scores, static_cast<Index>(i), 0.03,
                         kSlack);
    }
  }
}

TEST(SoftmaxIndexRealTest, EveryHeadOfARealLayerEqualsBruteForce) {
  const std::string path =
      test::SourcePath("tests/data/minilm_qkv.safetensors");
  const auto keys = test::LoadHalfHeads(path, "layer3.keys");
  const auto queries = test::LoadHalfHeads(path, "layer3.queries");
  ASSERT_EQ(keys.size(), 12u);
  ASSERT_EQ(queries.size(), 12u);
  const double scale = 1.0 / std::sqrt(32.0);
  for (std::size_t h = 0; h < 12; ++h) {
    const MatrixView<Half> some(queries[h].view().row(0), 40, 32);
    const auto scores = test::BruteForceSoftmax(
        test::Widened(some), test::Widened(keys[h].view()), scale);
    const auto rows = Find({keys[h].view()}, {some}, Options(0.01, scale));
    for (std::size_t i = 0; i < 40; ++i) {
      test::ExpectProven(rows[i], scores, static_cast<Index>(i), 0.01, kSlack);
    }
  }
}

TEST(SoftmaxIndexCausalTest, AQuerySeesNothingBehindItsPosition) {
  const Matrix<double> keys = test::NormalMatrix(300, 4, Seed{20});
  const Matrix<double> queries = test::NormalMatrix(9, 4, Seed{21});
  HeavyOptions options = Options(0.02, 1.0);
  options.causal = true;
  options.positions = {0, 1, 31, 32, 33, 150, 298, 299, 299};
  const auto scores = test::BruteForceSoftmax(test::Widened(queries.view()),
                                              test::Widened(keys.view()), 1.0,
                                              options.positions);
  const auto rows = Find({keys.view()}, {queries.view()}, options);
  for (Index i = 0; i < 9; ++i) {
    const HeavyRow& row = rows[static_cast<std::size_t>(i)];
    test::ExpectProven(row, scores, i, 0.02, kSlack);
    EXPECT_LE(row.keys_scored,
              options.positions[static_cast<std::size_t>(i)] + 1);
  }
}

TEST(SoftmaxIndexEdgeTest, OneKeyHasTheWholeMass) {
  const Matrix<float> keys(1, 3);
  const Matrix<double> queries = test::NormalMatrix(2, 3, Seed{22});
  for (const HeavyRow& row :
       Find({keys.view()}, {queries.view()}, Options(1.0, 1.0))) {
    EXPECT_THAT(row.indices, ElementsAre(0));
    EXPECT_NEAR(row.scores[0], 1.0, kSlack);
    EXPECT_EQ(row.keys_scored, 1);
  }
}

TEST(SoftmaxIndexEdgeTest, AZeroQueryGivesEveryKeyTheSameScore) {
  const Matrix<double> keys = test::NormalMatrix(100, 3, Seed{23});
  const Matrix<double> queries(1, 3);
  const auto all = Find({keys.view()}, {queries.view()}, Options(0.01, 1.0));
  EXPECT_EQ(all[0].indices.size(), 100u);
  const auto none = Find({keys.view()}, {queries.view()}, Options(0.011, 1.0));
  EXPECT_TRUE(none[0].indices.empty());
  EXPECT_LE(none[0].normalizer, 100.0);
  EXPECT_NEAR(none[0].normalizer, 100.0, 100.0 * kSlack);
}

TEST(SoftmaxIndexEdgeTest, DuplicatesShareTheScore) {
  Matrix<double> keys = test::NormalMatrix(90, 3, Seed{24});
  for (const Index j : {17, 40, 77}) {
    for (Index c = 0; c < 3; ++c) keys(j, c) = 100.0 * (c == 0);
  }
  Matrix<double> queries(1, 3);
  queries(0, 0) = 100.0;  // logits of 1e4
  const auto rows = Find({keys.view()}, {queries.view()}, Options(0.3, 1.0));
  EXPECT_THAT(rows[0].indices, ElementsAre(17, 40, 77));
  for (std::size_t u = 0; u < 3; ++u) {
    EXPECT_NEAR(rows[0].scores[u], 1.0 / 3.0, test::Gamma(100) * 1e4);
  }
  EXPECT_NE(rows[0].normalizer_exponent, 0);
}

TEST(SoftmaxIndexErrorTest, NamesBadNumbersAndStops) {
  Matrix<double> bad = test::NormalMatrix(20, 3, Seed{25});
  const Matrix<double> good = bad;
  bad(4, 2) = std::numeric_limits<double>::quiet_NaN();
  const std::vector<AnyMatrixView> good_then_bad({good.view(), bad.view()});
  const auto built = BuildSoftmaxIndexes(good_then_bad, {}, {TwoWorkers()});
  ASSERT_EQ(built.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(DetailOf(built.status())->metadata.at("index"), "74");

  const std::vector<AnyMatrixView> one({good.view()});
  const auto index = BuildSoftmaxIndexes(one, {}, {TwoWorkers()});
  ASSERT_TRUE(index.ok());
  EXPECT_EQ((*index)[0].keys(), 20);
  EXPECT_EQ((*index)[0].columns(), 3);
  EXPECT_GE((*index)[0].bytes(), 20.0 * 3.0 * 8.0);
  const std::vector<AnyMatrixView> queries({bad.view()});
  const auto rows =
      FindHeavyScores(*index, queries, Options(0.1, 1.0), {TwoWorkers()});
  ASSERT_EQ(rows.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(DetailOf(rows.status())->field, "queries");

  StopSource source;
  source.RequestStop(StopReason::kCancelled);
  EXPECT_EQ(BuildSoftmaxIndexes(one, {}, {TwoWorkers(), source.token()})
                .status()
                .code(),
            absl::StatusCode::kCancelled);
}

TEST(SoftmaxIndexCostTest, BoundsWhatIsHeld) {
  const Matrix<double> keys = test::NormalMatrix(100, 7, Seed{26});
  const std::vector<AnyMatrixView> views({keys.view()});
  const auto index = BuildSoftmaxIndexes(views, {}, {TwoWorkers()});
  EXPECT_LE((*index)[0].bytes(), CostOfSoftmaxIndex(1, 100, 7, 2).bytes);
  const Cost few = CostOfSoftmaxScores(100, 7, 1, 1, 0.1, 2);
  const Cost many = CostOfSoftmaxScores(100, 7, 4, 50, 0.1, 2);
  EXPECT_GE(few.flops, 2.0 * 100.0 * 7.0);
  EXPECT_NEAR(many.flops, 200.0 * few.flops, few.flops);
  EXPECT_GT(many.bytes, few.bytes);
}

}  // namespace
}  // namespace steelyard
