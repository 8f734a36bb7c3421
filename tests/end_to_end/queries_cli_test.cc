// The commands of the tool that ask and attend, against a server: kept sets,
// streams, and every flag of `attend`.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "client/tensor_files/tensor_file.h"
#include "client/tensor_files/tensor_output.h"
#include "client/tensor_files/tensor_spec.h"
#include "tests/client/tensor_files/scratch_file.h"
#include "tests/end_to_end/run_steelyard.h"

namespace steelyard {
namespace {

using ::testing::HasSubstr;

using test::Outcome;

class QueriesCliTest : public test::ToolTest {
 protected:
  // `attend` of head 2 of layer 3.
  static std::vector<std::string> Attend(
      const std::vector<std::string>& flags) {
    std::vector<std::string> words = {"attend", Tensor("layer3.keys[2]"),
                                      Tensor("layer3.values[2]"),
                                      Tensor("layer3.queries[2]")};
    words.insert(words.end(), flags.begin(), flags.end());
    return words;
  }

  const std::string keys_ = Tensor("layer0.keys[0:2]");
  const std::string queries_ = Tensor("layer0.queries[0:2]");
};

TEST_F(QueriesCliTest, AKeptSetAnswersAsTheKeysDo) {
  Json({"universal-set", keys_, "--epsilon=0.02", "--keep=batch"});
  Json({"stream", keys_, "--epsilon=0.02", "--keep=streamed"});
  const auto of_keys = Json({"heavy", keys_, queries_, "--epsilon=0.02"});
  std::size_t found = 0;
  for (const auto& row : of_keys["rows"]) found += row["indices"].size();
  ASSERT_GT(found, 10u);
  for (const char* set : {"--set=batch", "--set=streamed"}) {
    for (const char* how : {"--show=1", "--stream"}) {
      const auto of_set = Json({"heavy", queries_, set, how, "--epsilon=0.02"});
      ASSERT_EQ(of_set["rows"].size(), of_keys["rows"].size()) << set << how;
      for (std::size_t r = 0; r < of_keys["rows"].size(); ++r) {
        ASSERT_EQ(of_set["rows"][r]["indices"], of_keys["rows"][r]["indices"])
            << set << how << r;
      }
    }
  }
  const Outcome below =
      Run({"heavy", queries_, "--set=batch", "--epsilon=0.001"});
  EXPECT_EQ(below.code, 4);
  EXPECT_THAT(below.err, HasSubstr("EPSILON_BELOW_SET"));
}

TEST_F(QueriesCliTest, StreamedAnswersHold) {
  // Queries of 24 heads and more than a block.
  for (const std::vector<std::string>& flags :
       {std::vector<std::string>{"--epsilon=0.05"},
        {"--epsilon=0.1", "--power=4"},
        {"--epsilon=0.1", "--causal"},
        {"--epsilon=0.2", "--softmax=certified"}}) {
    std::vector<std::string> words = {"heavy", keys_, queries_, "--stream",
                                      "--verify"};
    words.insert(words.end(), flags.begin(), flags.end());
    const auto json = Json(words);
    EXPECT_TRUE(json["verification"]["held"]) << testing::PrintToString(flags);
    EXPECT_EQ(json["rows"].size(), 1024u);
  }
}

TEST_F(QueriesCliTest, SoftmaxSetsAreLabelledAndCertifiedOnesAreRefused) {
  const auto json = Json({"universal-set", keys_, "--epsilon=0.1",
                          "--softmax=heuristic", "--softmax-scale=0.25"});
  EXPECT_THAT(json["sets"][0]["method"].get<std::string>(),
              HasSubstr("heuristic"));
  EXPECT_FALSE(json["sets"][0]["exact"].get<bool>());
  for (const char* flag : {"--softmax=heuristic", "--selection=jl"}) {
    const std::string text =
        Run({"universal-set", keys_, "--epsilon=0.1", flag}).out;
    EXPECT_THAT(text, HasSubstr("not certain")) << flag;
    EXPECT_THAT(text, testing::Not(HasSubstr("No query gives"))) << flag;
  }
  const Outcome certified =
      Run({"universal-set", keys_, "--epsilon=0.1", "--softmax=certified"});
  EXPECT_EQ(certified.code, 4);
  EXPECT_THAT(certified.err, HasSubstr("function.softmax.mode"));
}

TEST_F(QueriesCliTest, EveryKindOfAttentionHolds) {
  const std::vector<std::string> rows[] = {
      {"--epsilon=0.1"},
      {"--top-m=20", "--sinks=4"},
      {"--epsilon=0.1", "--sinks=4", "--window=8"},
      {"--window=5", "--causal"},
      {"--epsilon=0.1", "--grid=16x32", "--radius=2"},
      {"--epsilon=0.1", "--grid=15x34", "--grid-first=2", "--radius=3",
       "--sinks=2"},
      {"--epsilon=0.1", "--window=8", "--normalization=all"},
      {"--epsilon=0.1", "--causal", "--sinks=1", "--normalization=all"},
      {"--epsilon=0.1", "--power=4", "--window=3"},
      {"--epsilon=0.1", "--power-sum=1:1,0.5:3", "--sinks=3"},
      {"--top-m=32", "--softmax=heuristic", "--window=8"},
  };
  for (const std::vector<std::string>& flags : rows) {
    SCOPED_TRACE(testing::PrintToString(flags));
    std::vector<std::string> words = Attend(flags);
    words.push_back("--verify");
    const auto json = Json(words);
    EXPECT_TRUE(json["verification"]["held"]) << json["verification"].dump(1);
    EXPECT_EQ(json["rows"], 512);
    EXPECT_EQ(json["columns"], 32);
  }
}

TEST_F(QueriesCliTest, PaddingIsNotAttended) {
  const auto json =
      Json({"attend", Tensor("layer3.keys[2]"), Tensor("layer3.values[2]"),
            Tensor("layer3.queries[2,0:100]"), "--top-m=400", "--lengths=400",
            "--verify"});
  EXPECT_TRUE(json["verification"]["held"]) << json["verification"].dump(1);
  EXPECT_EQ(json["attended"], nlohmann::json(std::vector<int>(100, 400)));
}

TEST_F(QueriesCliTest, StreamedAttentionIsThatOfOneMessage) {
  for (const std::vector<std::string>& flags :
       {std::vector<std::string>{"--epsilon=0.05", "--sinks=2"},
        {"--epsilon=0.05", "--causal", "--window=4"},
        {"--top-m=20", "--grid=16x32", "--normalization=all"}}) {
    const test::ScratchFile whole(".safetensors");
    const test::ScratchFile streamed(".safetensors");
    // 12 heads of 512 queries: more than a block.
    std::vector<std::string> words = {"attend", Tensor("layer0.keys"),
                                      Tensor("layer0.values"),
                                      Tensor("layer0.queries")};
    words.insert(words.end(), flags.begin(), flags.end());
    words.push_back("--output=" + whole.path());
    EXPECT_EQ(Run(words).code, 0);
    words.back() = "--output=" + streamed.path();
    words.push_back("--stream");
    words.push_back("--verify");
    const Outcome outcome = Run(words);
    EXPECT_EQ(outcome.code, 0) << outcome.err << outcome.out;
    EXPECT_EQ(whole.bytes(), streamed.bytes());
  }
}

TEST_F(QueriesCliTest, QueriesAtPositionsSeeTheirOwnWindow) {
  std::vector<std::string> words = {"attend",
                                    Tensor("layer3.keys[2]"),
                                    Tensor("layer3.values[2]"),
                                    Tensor("layer3.queries[2,0:3]"),
                                    "--window=1",
                                    "--positions=0,7,511",
                                    "--verify"};
  auto json = Json(words);
  EXPECT_EQ(json["attended"], nlohmann::json({2, 3, 2}));
  EXPECT_TRUE(json["verification"]["held"]);
  words.push_back("--causal");
  json = Json(words);
  EXPECT_EQ(json["attended"], nlohmann::json({1, 2, 2}));
  EXPECT_TRUE(json["verification"]["held"]);
}

TEST_F(QueriesCliTest, AttentionOverAKeptSetIsThatOverTheSameKeys) {
  Json({"universal-set", Tensor("layer3.keys[2]"), "--epsilon=0.1",
        "--keep=attended"});
  const test::ScratchFile of_keys(".npy");
  const test::ScratchFile of_set(".npy");
  EXPECT_EQ(Run(Attend({"--epsilon=0.1", "--output=" + of_keys.path()})).code,
            0);
  EXPECT_EQ(Run(Attend({"--set=attended", "--output=" + of_set.path()})).code,
            0);
  EXPECT_GT(of_keys.bytes().size(), 512u * 32u * 8u);
  EXPECT_EQ(of_keys.bytes(), of_set.bytes());
}

TEST_F(QueriesCliTest, ValuesOfEveryStorageAreAttended) {
  // The fixture's own is float16: exact in the wider ones.
  const auto spec = tensor_files::ParseTensorSpec(Tensor("layer3.values[2]"));
  const auto stored = tensor_files::Load(*spec);
  ASSERT_TRUE(stored.ok()) << stored.status();
  const test::ScratchFile doubles(".npy");
  ASSERT_TRUE(
      tensor_files::WriteArrays(doubles.path(),
                                {tensor_files::NamedArray::Doubles(
                                    "v", stored->Doubles(), stored->shape())},
                                {})
          .ok());
  const test::ScratchFile first(".npy");
  const test::ScratchFile second(".npy");
  EXPECT_EQ(Run(Attend({"--top-m=9", "--output=" + first.path()})).code, 0);
  EXPECT_EQ(Run({"attend", Tensor("layer3.keys[2]"), doubles.path(),
                 Tensor("layer3.queries[2]"), "--top-m=9",
                 "--output=" + second.path()})
                .code,
            0);
  EXPECT_EQ(first.bytes(), second.bytes());
}

TEST_F(QueriesCliTest, RefusalsNameTheFlagOrTheField) {
  const struct {
    std::vector<std::string> words;
    int code;
    const char* part;
  } rows[] = {
      {Attend({}), 4, "epsilon"},
      {Attend({"--epsilon=0"}), 2, "--epsilon"},
      {Attend({"--window=-1"}), 2, "--window"},
      {Attend({"--grid=0x4"}), 2, "--grid"},
      {Attend({"--grid=99999999999x99999999999"}), 4, "SHAPE_OVERFLOW"},
      {Attend({"--window=1", "--grid=2x2"}), 2, "only one of"},
      {Attend({"--sinks=x"}), 2, "--sinks"},
      {Attend({"--epsilon=0.1", "--positions=1,2"}), 4, "positions"},
      {Attend({"--epsilon=0.1", "--positions=1,b"}), 2, "--positions"},
      {Attend({"--epsilon=0.1", "--normalization=none"}), 2, "attended"},
      {Attend({"--epsilon=0.1", "--softmax=certified"}), 2, "no set of keys"},
      {Attend({"--set=nobody"}), 4, "NOT_FOUND"},
      {Attend({"--set=nobody", "--epsilon=0.1"}), 2, "--set"},
      {Attend({"--set=nobody", "--verify"}), 2, "--verify"},
      {Attend({"--epsilon=0.1", "--lengths=0"}), 4, "lengths"},
      {Attend({"--epsilon=0.1", "--power=2", "--softmax=heuristic"}), 2,
       "only one of"},
      {{"heavy", queries_, "--set=nobody"}, 4, "NOT_FOUND"},
      {{"heavy", queries_, "--set=Nobody"}, 4, "universal_set"},
      {{"heavy", keys_, queries_, "--set=nobody"}, 2, "QUERIES alone"},
      {{"heavy", keys_, queries_, "--positions=1"}, 2, "--causal"},
      {{"heavy", keys_, queries_, "--softmax=exact"}, 2, "--softmax"},
      {{"heavy", keys_, queries_, "--softmax-scale=1"}, 2, "--softmax"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(testing::PrintToString(row.words));
    const Outcome outcome = Run(row.words);
    EXPECT_EQ(outcome.code, row.code) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(row.part));
    EXPECT_EQ(outcome.err.find('\n'), outcome.err.size() - 1) << outcome.err;
  }
}

}  // namespace
}  // namespace steelyard
