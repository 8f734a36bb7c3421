#include "client/cli/set_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "client/cli/command_spec.h"

namespace steelyard::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Arguments Parsed(const std::vector<std::string>& flags) {
  std::vector<std::string> words = {"keys.npy"};
  words.insert(words.end(), flags.begin(), flags.end());
  const auto parsed = Arguments::Parse(*FindCommand("attend"), [&] {
    words.insert(words.end(), {"values.npy", "queries.npy"});
    return words;
  }());
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return *parsed;
}

TEST(SetOptionsTest, EveryScoreFunctionIsRead) {
  EXPECT_FALSE(ScoreFunctionOf(Parsed({}))->has_value());
  EXPECT_EQ(FunctionText(*ScoreFunctionOf(Parsed({"--power=1.5"}))), "|x|^1.5");
  EXPECT_EQ(FunctionText(*ScoreFunctionOf(Parsed({"--power-sum=0.5:1,2:4"}))),
            "0.5|x|^1 + 2|x|^4");
  EXPECT_EQ(FunctionText(*ScoreFunctionOf(Parsed({"--softmax=certified"}))),
            "exp(x / sqrt(d)), certified");
  EXPECT_EQ(FunctionText(*ScoreFunctionOf(
                Parsed({"--softmax=heuristic", "--softmax-scale=0.25"}))),
            "exp(0.25 x), heuristic");
  EXPECT_EQ(FunctionText(std::nullopt), "|x|^2");
}

TEST(SetOptionsTest, WrongFunctionsNameTheFlag) {
  const auto message = [](const std::vector<std::string>& flags) {
    return std::string(ScoreFunctionOf(Parsed(flags)).status().message());
  };
  for (const char* sum :
       {"1", "1:0.5", "0:2", "-1:2", "1:65", "a:2", "1:2,", "inf:2", "1:2:3"}) {
    EXPECT_THAT(message({std::string("--power-sum=") + sum}),
                HasSubstr("--power-sum is"));
  }
  EXPECT_THAT(message({"--softmax-scale=1"}), HasSubstr("--softmax-scale"));
  EXPECT_THAT(message({"--softmax=certified", "--softmax-scale=0"}),
              HasSubstr("--softmax-scale is 0"));
  EXPECT_THAT(message({"--power=3", "--softmax=certified"}),
              HasSubstr("only one of"));
}

TEST(SetOptionsTest, ListsOfIntegers) {
  EXPECT_THAT(*IntegersOf(Parsed({"--lengths=3,0,12"}), "lengths"),
              ElementsAre(3, 0, 12));
  EXPECT_TRUE(IntegersOf(Parsed({}), "lengths")->empty());
  for (const char* wrong :
       {"--lengths=1,x", "--lengths=-1", "--lengths=1,,2"}) {
    EXPECT_THAT(
        std::string(IntegersOf(Parsed({wrong}), "lengths").status().message()),
        HasSubstr("--lengths is"));
  }
}

TEST(SetOptionsTest, NamesOfSets) {
  for (const char* good : {"a", "layer-0", "universalSets/a9"}) {
    EXPECT_TRUE(IsSetName(good)) << good;
  }
  for (const char* bad :
       {"", "A", "9a", "a.state", "./a", "universalSets/", "sets/a", "a_b"}) {
    EXPECT_FALSE(IsSetName(bad)) << bad;
  }
  EXPECT_FALSE(IsSetName(std::string(64, 'a')));
  const auto keeping = [](const std::vector<std::string>& flags) {
    std::vector<std::string> words = {"keys.npy", "--epsilon=0.1"};
    words.insert(words.end(), flags.begin(), flags.end());
    return KeepingOf(*Arguments::Parse(*FindCommand("universal-set"), words));
  };
  EXPECT_EQ(keeping({"--keep=a", "--ttl=90s"})->ttl, client::Seconds(90));
  EXPECT_EQ(keeping({"--keep=a"})->set_id, "a");
  EXPECT_THAT(std::string(keeping({"--keep=A"}).status().message()),
              HasSubstr("--keep is"));
  EXPECT_THAT(std::string(keeping({"--ttl=90s"}).status().message()),
              HasSubstr("--ttl goes with"));
}

}  // namespace
}  // namespace steelyard::cli
