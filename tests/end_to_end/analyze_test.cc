// `steelyard analyze` against a server: the fixture, the page, and nonsense.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/client/tensor_files/scratch_file.h"
#include "tests/end_to_end/run_steelyard.h"
#include "tests/support_server/running_server.h"

namespace steelyard {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

using test::Outcome;

Outcome RunSteelyard(const test::RunningServer& server,
                     const std::vector<std::string>& words) {
  return test::RunSteelyard(server.address(), words);
}

std::string Tensor(const std::string& name) {
  return test::FixtureTensor(name);
}

TEST(AnalyzeTest, EveryLayerAndHeadOfTheFixtureIsLookedAt) {
  const test::RunningServer server;
  const test::ScratchFile page(".html");
  const Outcome outcome = RunSteelyard(
      server, {"analyze", Tensor("layer{}.keys"), Tensor("layer{}.queries"),
               "--layers=0,3,5", "--json", "--html=" + page.path()});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto json = nlohmann::json::parse(outcome.out);
  ASSERT_EQ(json["layers"].size(), 3u);
  for (const auto& layer : json["layers"]) {
    ASSERT_EQ(layer["heads"].size(), 12u);
    for (const auto& head : layer["heads"]) {
      double total = 0.0;
      for (const double leverage : head["sensitivities"]) total += leverage;
      // Leverage scores add up to the rank.
      EXPECT_NEAR(total, head["rank"].get<double>(), 1e-9);
      EXPECT_EQ(head["queries_looked_at"], 512);
      const double both = head["important_and_near_mass"]["median"];
      EXPECT_GE(both, head["near_mass"]["median"].get<double>());
      EXPECT_GE(both, head["important_mass"]["median"].get<double>());
      EXPECT_LE(both, 1.0);
    }
  }
  // Head 2 of layer 0 looks at its neighbours only.
  EXPECT_GT(json["layers"][0]["heads"][2]["near_mass"]["median"], 0.99);
  EXPECT_THAT(page.bytes(), HasSubstr("layer 5"));
}

TEST(AnalyzeTest, CausalLeverageIsThatOfTheKeysSoFar) {
  const test::RunningServer server;
  const auto of = [&](const std::vector<std::string>& words) {
    const Outcome outcome = RunSteelyard(server, words);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return nlohmann::json::parse(outcome.out, nullptr, false);
  };
  const auto causal =
      of({"analyze", Tensor("layer3.keys[0]"), Tensor("layer3.queries[0]"),
          "--causal", "--json"})["layers"][0]["heads"][0];
  const auto all =
      of({"analyze", Tensor("layer3.keys[0]"), Tensor("layer3.queries[0]"),
          "--json"})["layers"][0]["heads"][0];
  // Every key that has come before makes a key's share smaller, and after the
  // last one all have come. The first key is alone.
  ASSERT_EQ(causal["sensitivities"].size(), 512u);
  double total = 0.0;
  for (int j = 0; j < 512; ++j) {
    const double on_arrival = causal["sensitivities"][j];
    const double in_the_end = all["sensitivities"][j];
    EXPECT_GE(on_arrival, in_the_end * (1 - 1e-6)) << j;
    total += on_arrival;
  }
  EXPECT_EQ(causal["sensitivities"][0], 1.0);
  EXPECT_NEAR(causal["sensitivities"][511], all["sensitivities"][511], 1e-6);
  EXPECT_GT(total, 2 * all["rank"].get<double>());
  for (const auto& size : causal["set_sizes"]) {
    EXPECT_LE(size["size"].get<double>(), size["bound"].get<double>());
  }
}

TEST(AnalyzeTest, TextNamesWhatWasChosen) {
  const test::RunningServer server;
  const Outcome outcome =
      RunSteelyard(server, {"analyze", Tensor("layer3.keys[0:2]"),
                            Tensor("layer3.queries[0:2]"), "--grid=16x32",
                            "--power=2", "--epsilon=0.1", "--top=5"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("|<q, k>|^2"));
  EXPECT_THAT(outcome.out, HasSubstr("Manhattan distance 3 on a 16 x 32 grid"));
  EXPECT_THAT(outcome.out, HasSubstr("keys of sensitivity >= 0.1"));
  EXPECT_THAT(outcome.out, HasSubstr("the 5 keys of largest score"));
}

TEST(AnalyzeTest, NonsenseIsOneLineAndItsExitCode) {
  const test::RunningServer server;
  const std::string keys = Tensor("layer0.keys");
  const std::string queries = Tensor("layer0.queries");
  const std::string pattern = Tensor("layer{}.keys");
  struct Case {
    int code;
    std::vector<std::string> words;
    std::string told;
  };
  const std::vector<Case> cases = {
      {2, {keys, queries, "--layers=0"}, "needs {}"},
      {2, {pattern, queries, "--layers=0"}, "in neither"},
      {2, {pattern, Tensor("layer{}.queries")}, "--layers"},
      {2, {pattern, Tensor("layer{}.queries"), "--layers=0,,3"}, "empty name"},
      {3, {pattern, Tensor("layer{}.queries"), "--layers=1"}, "layer1.keys"},
      {2, {keys, queries, "--grid=14"}, "14x14"},
      {2, {keys, queries, "--grid=0x3"}, "14x14"},
      {2, {keys, queries, "--radius=3"}, "needs --grid"},
      {2, {keys, queries, "--grid=4x4", "--window=3"}, "exclude"},
      {2, {keys, queries, "--epsilon=0.1", "--important=3"}, "exclude"},
      {2, {keys, queries, "--power=2", "--scale=1"}, "--power"},
      {2, {keys, queries, "--power=0.5"}, "--power"},
      {2, {keys, Tensor("layer0.queries[:,:,0:8]")}, "columns"},
      {3, {keys, queries, "--html=/no/such/folder/a.html"}, "cannot write"},
  };
  for (const Case& wrong : cases) {
    std::vector<std::string> words = {"analyze"};
    words.insert(words.end(), wrong.words.begin(), wrong.words.end());
    const Outcome outcome = RunSteelyard(server, words);
    EXPECT_EQ(outcome.code, wrong.code) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(wrong.told));
    EXPECT_EQ(outcome.err.find('\n'), outcome.err.size() - 1) << outcome.err;
    EXPECT_THAT(outcome.out, IsEmpty());
  }
}

}  // namespace
}  // namespace steelyard
