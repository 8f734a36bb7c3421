#include "client/analyze/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "tests/client/analyze/small_report.h"

namespace steelyard::analyze {
namespace {

using tensor_files::StoredTensor;
using ::testing::HasSubstr;

StoredTensor Ones(std::vector<int64_t> shape) {
  int64_t count = 1;
  for (const int64_t extent : shape) count *= extent;
  return StoredTensor::Of(
      std::vector<double>(static_cast<std::size_t>(count), 1.0),
      std::move(shape));
}

client::UniversalSet EveryKey(int64_t keys, double sensitivity) {
  client::UniversalSet set;
  set.keys = keys;
  set.rank = 2;
  set.exact = true;
  set.indices.resize(static_cast<std::size_t>(keys));
  std::iota(set.indices.begin(), set.indices.end(), int64_t{0});
  set.sensitivities.assign(static_cast<std::size_t>(keys), sensitivity);
  return set;
}

TEST(ReportTest, GroupedQueriesReadTheirKeyHead) {
  Settings settings;
  settings.important = 2;
  const auto layer =
      AnalyzeLayer(Ones({2, 6, 4}), Ones({4, 3, 4}),
                   {EveryKey(6, 0.25), EveryKey(6, 0.5)}, settings);
  ASSERT_TRUE(layer.ok());
  EXPECT_DOUBLE_EQ(layer->scale, 0.5);  // 1 / sqrt(4)
  ASSERT_EQ(layer->heads.size(), 4u);
  for (std::size_t g = 0; g < 4; ++g) {
    EXPECT_EQ(layer->heads[g].key_head, g < 2 ? 0 : 1);
    EXPECT_EQ(layer->heads[g].sensitivities[5], g < 2 ? 0.25 : 0.5);
    EXPECT_EQ(layer->heads[g].important.size(), 2u);
    EXPECT_EQ(layer->heads[g].masses.top.size(), 3u);
  }
}

TEST(ReportTest, SetsAreBoundedByTheSumOfTheirLeverages) {
  client::UniversalSet set = EveryKey(6, 0.75);
  set.total_sensitivity = 4.5;  // Rank 2, on arrival.
  Settings settings;
  for (const bool causal : {false, true}) {
    settings.mass.causal = causal;
    const auto layer =
        AnalyzeLayer(Ones({6, 4}), Ones({3, 4}), {set}, settings);
    ASSERT_TRUE(layer.ok());
    EXPECT_EQ(layer->heads[0].set_sizes[0].bound, causal ? 4.5 : 2.0);
  }
}

TEST(ReportTest, EpsilonChoosesTheImportantKeys) {
  Settings settings;
  settings.epsilon = 0.3;
  const auto none =
      AnalyzeLayer(Ones({6, 4}), Ones({3, 4}), {EveryKey(6, 0.25)}, settings);
  ASSERT_TRUE(none.ok());
  EXPECT_TRUE(none->heads[0].important.empty());
  settings.epsilon = 0.25;
  const auto all =
      AnalyzeLayer(Ones({6, 4}), Ones({3, 4}), {EveryKey(6, 0.25)}, settings);
  ASSERT_TRUE(all.ok());
  EXPECT_EQ(all->heads[0].important.size(), 6u);
}

TEST(ReportTest, ShapesThatDoNotGoTogetherAreNamed) {
  const auto message = [](std::vector<int64_t> keys,
                          std::vector<int64_t> queries, bool causal) {
    return std::string(CheckShapes(Ones(std::move(keys)).info(),
                                   Ones(std::move(queries)).info(), causal)
                           .message());
  };
  EXPECT_THAT(message({4, 3}, {4, 2}, false), HasSubstr("number of columns"));
  EXPECT_THAT(message({2, 4, 3}, {3, 4, 3}, false), HasSubstr("multiple"));
  EXPECT_THAT(message({3}, {4, 3}, false), HasSubstr("float64 [3]"));
  EXPECT_THAT(message({4, 3}, {5, 3}, true), HasSubstr("outnumber"));
  EXPECT_EQ(message({4, 3}, {5, 3}, false), "");
}

TEST(ReportTest, AnAnswerThatDoesNotFitTheKeysIsOurBug) {
  for (const std::vector<client::UniversalSet>& sets :
       {std::vector<client::UniversalSet>{}, {EveryKey(5, 0.1)}}) {
    EXPECT_EQ(
        AnalyzeLayer(Ones({6, 4}), Ones({3, 4}), sets, {}).status().code(),
        absl::StatusCode::kInternal);
  }
}

TEST(ReportTest, TellsWhatWasChosen) {
  Settings settings;
  EXPECT_EQ(FunctionText(settings, 0.25), "exp(0.25 <q, k>)");
  EXPECT_EQ(ImportantText(settings), "the 32 keys of largest sensitivity");
  settings.mass.power = 1.5;
  settings.epsilon = 0.1;
  EXPECT_EQ(FunctionText(settings, 0.25), "|<q, k>|^1.5");
  EXPECT_EQ(ImportantText(settings), "keys of sensitivity >= 0.1");
}

}  // namespace
}  // namespace steelyard::analyze
