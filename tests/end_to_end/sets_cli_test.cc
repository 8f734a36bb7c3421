// The commands of the tool that stream, keep, merge and attend, against a
// server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "client/tensor_files/tensor_output.h"
#include "tests/client/tensor_files/scratch_file.h"
#include "tests/end_to_end/run_steelyard.h"

namespace steelyard {
namespace {

using ::testing::HasSubstr;

using test::Outcome;

class SetsCliTest : public test::ToolTest {};

TEST_F(SetsCliTest, AStreamGivesTheSetOfTheWholeFile) {
  const auto streamed = Json(
      {"stream", Tensor("layer0.keys[0:3]"), "--epsilon=0.1", "--keep=whole"});
  const auto batch =
      Json({"universal-set", Tensor("layer0.keys[0:3]"), "--epsilon=0.1"});
  EXPECT_EQ(streamed["name"], "universalSets/whole");
  EXPECT_EQ(streamed["keys_sent"], 512);
  ASSERT_EQ(streamed["sets"].size(), 3u);
  for (int h = 0; h < 3; ++h) {
    EXPECT_EQ(streamed["sets"][h]["indices"], batch["sets"][h]["indices"]);
  }
  const auto read = Json({"sets", "read", "whole", "--heads=1"});
  EXPECT_EQ(read["sets"][0]["indices"], batch["sets"][1]["indices"]);
  EXPECT_EQ(Json({"sets", "show", "whole"})["state"], "FINISHED");
}

TEST_F(SetsCliTest, AStreamIsResumedAndImported) {
  const test::ScratchFile state(".state");
  const std::string all = Tensor("layer3.keys[2]");
  // The first 300 keys; then the whole file, from where the server stands.
  EXPECT_EQ(Json({"stream", Tensor("layer3.keys[2,0:300]"), "--epsilon=0.1",
                  "--keep=cut", "--no-finish",
                  "--checkpoint=" + state.path()})["keys_sent"],
            300);
  EXPECT_EQ(Json({"sets", "show", "cut"})["state"], "SUSPENDED");
  const auto resumed = Json({"stream", all, "--resume=cut"});
  EXPECT_EQ(resumed["keys_sent"], 212);
  const auto imported = Json({"stream", all, "--import=" + state.path()});
  EXPECT_EQ(imported["keys_sent"], 212);
  const auto batch = Json({"universal-set", all, "--epsilon=0.1"});
  EXPECT_EQ(resumed["sets"][0]["indices"], batch["sets"][0]["indices"]);
  EXPECT_EQ(imported["sets"][0]["indices"], batch["sets"][0]["indices"]);
}

TEST_F(SetsCliTest, OtherFilesDoNotGoOnWithAStream) {
  Json({"stream", Tensor("layer3.keys[2,0:300]"), "--epsilon=0.1",
        "--keep=other", "--no-finish"});
  const struct {
    std::string keys;
    int code;
    const char* part;
  } rows[] = {
      {Tensor("layer3.keys[2,0:200]"), 4, "has 300 keys; the files have only"},
      {Tensor("layer3.keys[0:2]"), 4, "has 1 heads at 300 to 300 keys"},
      {Tensor("layer3.keys[2,:,0:8]"), 4, "[WRONG_SHAPE in chunk.keys"},
  };
  for (const auto& row : rows) {
    const Outcome outcome = Run({"stream", row.keys, "--resume=other"});
    EXPECT_EQ(outcome.code, row.code) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(row.part));
    EXPECT_EQ(outcome.err.find('\n'), outcome.err.size() - 1) << outcome.err;
  }
  // None of them has touched it.
  EXPECT_EQ(Json({"sets", "show", "other"})["next_offset"],
            nlohmann::json({300}));
}

TEST_F(SetsCliTest, ABadKeyIsNamedAndSoIsTheWayOn) {
  const test::ScratchFile file(".npy");
  std::vector<double> numbers(4 * 1000, 1.0);
  numbers[4 * 700 + 2] = std::numeric_limits<double>::quiet_NaN();
  ASSERT_TRUE(tensor_files::WriteArrays(
                  file.path(),
                  {tensor_files::NamedArray::Doubles("k", numbers, {1000, 4})},
                  {})
                  .ok());
  const Outcome outcome =
      Run({"stream", file.path(), "--epsilon=0.1", "--keep=bad"});
  EXPECT_EQ(outcome.code, 4);
  EXPECT_THAT(outcome.err, HasSubstr("row 700 of head 0"));
  EXPECT_THAT(outcome.err, HasSubstr("--resume=bad"));
  EXPECT_THAT(outcome.err, HasSubstr("NOT_FINITE"));
}

TEST_F(SetsCliTest, ShardsAreMerged) {
  const test::ScratchFile state(".state");
  Json({"stream", Tensor("layer5.keys[0,0:200]"), "--epsilon=0.1",
        "--keep=shard0"});
  Json({"stream", Tensor("layer5.keys[0,200:]"), "--epsilon=0.1",
        "--keep=shard1", "--first-index=200"});
  Json({"sets", "export", "shard1", "--output=" + state.path()});
  EXPECT_EQ(Json({"sets", "merge", "sum", "shard0", state.path()})["name"],
            "universalSets/sum");
  const auto batch =
      Json({"universal-set", Tensor("layer5.keys[0]"), "--epsilon=0.1"});
  EXPECT_EQ(Json({"sets", "read", "sum"})["sets"][0]["indices"],
            batch["sets"][0]["indices"]);
  EXPECT_THAT(Run({"sets", "list"}).out, HasSubstr("universalSets/shard0"));
  EXPECT_EQ(Run({"sets", "delete", "shard0", "shard1", "sum"}).code, 0);
  EXPECT_EQ(Run({"sets", "show", "sum"}).code, 4);
}

TEST_F(SetsCliTest, OtherFunctionsAndCausalSetsHold) {
  for (const char* flag : {"--power=1.5", "--power=4", "--power-sum=1:1,2:3",
                           "--causal", "--selection=fast"}) {
    const auto json = Json({"universal-set", Tensor("layer0.keys[1,0:128]"),
                            "--epsilon=0.2", flag, "--verify"});
    EXPECT_TRUE(json["verification"]["held"]) << flag << json.dump(1);
  }
}

TEST_F(SetsCliTest, NonsenseIsOneLineAndTheRightCode) {
  const std::string keys = Tensor("layer0.keys[0]");
  const struct {
    std::vector<std::string> words;
    int code;
    const char* part;
  } rows[] = {
      {{"stream", keys}, 2, "--epsilon"},
      {{"stream"}, 2, "takes KEYS"},
      {{"stream", keys, "--resume=a", "--import=b"}, 2, "only one of"},
      {{"stream", keys, "--resume=a", "--epsilon=0.1"}, 2, "--epsilon is that"},
      {{"stream", keys, "--resume=nobody"}, 4, "NOT_FOUND"},
      {{"stream", keys, "--epsilon=0.1", "--checkpoint-every=9"},
       2,
       "goes with --checkpoint"},
      {{"stream", keys, "--import=none.state"}, 3, "none.state"},
      {{"stream", keys, Tensor("layer0.keys[0,:,0:3]"), "--epsilon=0.1"},
       3,
       "does not go on after"},
      {{"sets", "lst"}, 2, "did you mean 'list'"},
      {{"sets", "list", "--ttl=1s"}, 2, "--ttl goes with 'sets merge'"},
      {{"sets", "show", "a", "--output=b"}, 2, "'sets export' or 'sets read'"},
      {{"sets", "show"}, 2, "takes NAME"},
      {{"sets", "show", "A"}, 2, "no name of a set"},
      {{"sets", "export", "a"}, 2, "--output"},
      {{"sets", "delete", "nobody"}, 4, "NOT_FOUND"},
      {{"attend", keys, keys, keys, "--grid=3"}, 2, "--grid is"},
      {{"attend", keys, keys, keys, "--radius=3"}, 2, "--radius goes with"},
      {{"heavy", keys}, 2, "'heavy' takes"},
      {{"universal-set", keys, "--epsilon=0.1", "--power=0.5"}, 2, "[1, 64]"},
      {{"universal-set", keys, "--epsilon=0.1", "--ttl=1s"}, 2, "--ttl goes"},
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
