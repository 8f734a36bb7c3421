// The command-line tool against a server: every subcommand, every exit code,
// and nonsense.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "client/tensor_files/tensor_file.h"
#include "client/tensor_files/tensor_output.h"
#include "tests/client/tensor_files/scratch_file.h"
#include "tests/end_to_end/run_steelyard.h"
#include "tests/support/source_paths.h"

namespace steelyard {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

using test::ExpectOneLine;
using test::Outcome;

class CliTest : public test::ToolTest {
 protected:
  using test::ToolTest::Run;
  static Outcome Run(const std::vector<std::string>& words,
                     const std::string& server) {
    return test::RunSteelyard(server, words);
  }
};

TEST_F(CliTest, HelpTeaches) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"help"}, {"--help"}, {"-h"}}) {
    const Outcome outcome = Run(words);
    EXPECT_EQ(outcome.code, 0);
    EXPECT_THAT(outcome.out, HasSubstr("Exit codes:"));
    EXPECT_THAT(outcome.out, HasSubstr("universal-set"));
  }
  const Outcome solve = Run({"solve", "--help"});
  EXPECT_EQ(solve.code, 0);
  EXPECT_EQ(solve.out, Run({"help", "solve"}).out);
  EXPECT_THAT(solve.out, HasSubstr("--time-limit"));
  EXPECT_EQ(Run({}).code, 2);
  EXPECT_THAT(Run({"--version"}).out, StartsWith("steelyard "));
}

TEST_F(CliTest, InfoAndHealth) {
  const auto info = Json({"info"});
  EXPECT_EQ(info["exponent_max"], 64);
  EXPECT_GT(info["workers"], 0);
  EXPECT_THAT(Run({"info"}).out, HasSubstr(server_->address()));
  EXPECT_EQ(Json({"health"})["status"], "SERVING");
  EXPECT_EQ(Run({"health"}).out, "SERVING\n");
  EXPECT_EQ(Run({"health", "--service=steelyard.v1.RegressionService"}).code,
            0);
  ExpectOneLine(Run({"health", "--service=nonsense"}), 4);
}

TEST_F(CliTest, UniversalSetOfTheFixtureHolds) {
  for (const char* epsilon : {"0.1", "0.2", "0.4"}) {
    const auto json = Json({"universal-set", Tensor("layer0.keys[0:2]"),
                            std::string("--epsilon=") + epsilon, "--verify"});
    ASSERT_EQ(json["sets"].size(), 2u);
    EXPECT_EQ(json["sets"][1]["head"], 1);
    EXPECT_EQ(json["sets"][0]["rank"], 32);
    EXPECT_EQ(json["sets"][0]["indices"].size(), json["sets"][0]["size"]);
    EXPECT_TRUE(json["verification"]["held"]);
    EXPECT_LT(json["verification"]["heads"][0]["largest_excluded"],
              std::stod(epsilon));
  }
  const Outcome text = Run({"universal-set", Tensor("layer0.keys[0]"),
                            "--epsilon=0.1", "--verify", "--show=3"});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("certificate held"));
  EXPECT_THAT(text.out, HasSubstr("held         one set a head: 1 of 1"));
  EXPECT_THAT(text.out, HasSubstr("more; see --show"));
}

TEST_F(CliTest, TopKeysHold) {
  const auto json = Json(
      {"universal-set", Tensor("layer5.keys[2]"), "--top-m=7", "--verify"});
  EXPECT_EQ(json["sets"][0]["size"], 7);
  EXPECT_TRUE(json["verification"]["held"]);
}

TEST_F(CliTest, HeavyScoresOfTheFixtureHold) {
  const auto json =
      Json({"heavy", Tensor("layer0.keys[0:2]"), Tensor("layer0.queries[0:2]"),
            "--epsilon=0.03", "--verify"});
  EXPECT_EQ(json["rows"].size(), 1024u);
  EXPECT_TRUE(json["verification"]["held"]);
  int64_t returned = 0;
  for (const auto& head : json["verification"]["heads"]) {
    returned += head["returned"].get<int64_t>();
  }
  EXPECT_GT(returned, 0);
  const Outcome text =
      Run({"heavy", Tensor("layer0.keys[0]"), Tensor("layer0.queries[0,:5]")});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("in 5 rows"));
}

TEST_F(CliTest, EveryRegressionHolds) {
  const std::vector<std::vector<std::string>> commands = {
      {Tensor("layer3.values[0,0]"), "--problem=gram-power", "--exponent=2"},
      {Tensor("layer3.values[0,0]"), "--problem=gram-power", "--ridge=0.5"},
      {Tensor("layer3.values[0,0]"), "--problem=gram-power", "--extended"},
      {Tensor("layer3.values[0,:,0:2]"), "--problem=left-gram-power"},
      {Tensor("layer3.values[0,:,1]"), "--problem=left-gram-power",
       "--exponent=1"},
      {Tensor("layer3.values[0,:,0]"), "--problem=attention-kernel",
       "--scale=0.17", "--ridge=0.01"},
      {Tensor("layer3.values[0,:,0]"), "--problem=attention-kernel",
       "--scale=0.17", "--normalization=unit-diagonal"},
  };
  for (std::vector<std::string> words : commands) {
    words.insert(words.begin(), {"solve", Tensor("layer3.keys[0]")});
    words.push_back("--verify");
    SCOPED_TRACE(testing::PrintToString(words));
    const auto json = Json(words);
    EXPECT_EQ(json["termination"], "CONVERGED");
    EXPECT_TRUE(json["verification"]["held"])
        << json["verification"]["rules"].dump(1);
    const auto& figures = json["verification"]["right_hand_sides"][0];
    EXPECT_TRUE(figures["lapack_residual"].is_number());
    EXPECT_LT(figures["difference"], 1e-9);
  }
}

TEST_F(CliTest, SolutionsAreWrittenBitForBit) {
  const test::ScratchFile npy(".npy");
  const test::ScratchFile archive(".safetensors");
  const auto json =
      Json({"solve", Tensor("layer3.keys[0]"), Tensor("layer3.values[0,0]"),
            "--problem=gram-power", "--output=" + npy.path()});
  const auto spec = tensor_files::ParseTensorSpec(npy.path());
  ASSERT_TRUE(spec.ok());
  const auto x = tensor_files::Load(*spec);
  ASSERT_TRUE(x.ok()) << x.status();
  EXPECT_EQ(x->Doubles(), json["x"].get<std::vector<double>>());

  Json({"solve", Tensor("layer3.keys[0]"), Tensor("layer3.values[0,0]"),
        "--problem=gram-power", "--extended", "--output=" + archive.path()});
  const auto low = tensor_files::ParseTensorSpec(archive.path() + ":x_low");
  ASSERT_TRUE(low.ok());
  EXPECT_TRUE(tensor_files::Load(*low).ok());
}

TEST_F(CliTest, SetsAndScoresAreWritten) {
  const test::ScratchFile npy(".npy");
  const test::ScratchFile archive(".safetensors");
  EXPECT_EQ(Run({"universal-set", Tensor("layer0.keys[0]"), "--epsilon=0.1",
                 "--output=" + npy.path()})
                .code,
            0);
  EXPECT_THAT(npy.bytes(), HasSubstr("'<i8'"));
  EXPECT_EQ(Run({"heavy", Tensor("layer0.keys[0]"), Tensor("layer0.queries[0]"),
                 "--epsilon=0.03", "--output=" + archive.path()})
                .code,
            0);
  EXPECT_THAT(archive.bytes(), HasSubstr("captured_mass"));
  // Two heads do not fit in one array.
  ExpectOneLine(Run({"universal-set", Tensor("layer0.keys[0:2]"),
                     "--epsilon=0.1", "--output=" + npy.path()}),
                2);
  ExpectOneLine(Run({"universal-set", Tensor("layer0.keys[0]"), "--epsilon=0.1",
                     "--output=u.csv"}),
                2);
}

TEST_F(CliTest, ASolveThatDoesNotConvergeSaysSo) {
  // Two equal columns and a third of zeros cannot be undone by a kernel
  // without a ridge: its matrix is singular.
  const test::ScratchFile a(".npy");
  const test::ScratchFile b(".npy");
  ASSERT_TRUE(
      tensor_files::WriteArrays(a.path(), {tensor_files::NamedArray::Doubles(
                                              "a", {1, 2, 1, 2, 3, 1}, {3, 2})})
          .ok());
  ASSERT_TRUE(
      tensor_files::WriteArrays(
          b.path(), {tensor_files::NamedArray::Doubles("b", {1, -1, 2}, {3})})
          .ok());
  const auto json =
      Json({"solve", a.path(), b.path(), "--problem=attention-kernel"}, 6);
  EXPECT_NE(json["termination"], "CONVERGED");
  EXPECT_EQ(json["x"].size(), 3u);
}

TEST_F(CliTest, TheSeedOfAnAnswerCanBeGivenBack) {
  // Above 2^63, as every second one that a server chooses.
  const std::string seed = "13635882995952047716";
  const auto json =
      Json({"solve", Tensor("layer3.keys[0,:64]"),
            Tensor("layer3.values[0,:64,0]"), "--problem=attention-kernel",
            "--scale=0.17", "--ridge=0.01", "--seed=" + seed});
  EXPECT_EQ(std::to_string(json["seed"].get<uint64_t>()), seed);
}

TEST_F(CliTest, AdviceIsWhatTheProblemTakes) {
  // No float64 has a residual of 1e-300.
  const auto advice_for = [](const std::vector<std::string>& flags) {
    std::vector<std::string> words = {"solve", Tensor("layer3.keys[0,:64]"),
                                      "--tolerance=1e-300"};
    words.insert(words.end(), flags.begin(), flags.end());
    const Outcome outcome = Run(words);
    EXPECT_EQ(outcome.code, 6) << outcome.err;
    return outcome.out.substr(0, outcome.out.find('\n'));
  };
  const std::string row = Tensor("layer3.values[0,0]");
  EXPECT_THAT(advice_for({row, "--problem=gram-power"}),
              HasSubstr("--extended"));
  EXPECT_THAT(advice_for({Tensor("layer3.values[0,:64,0]"),
                          "--problem=attention-kernel", "--scale=0.17",
                          "--ridge=0.01"}),
              testing::Not(HasSubstr("--extended")));
}

TEST_F(CliTest, NonsenseIsOneLineAndTheRightCode) {
  const std::string keys = Tensor("layer0.keys[0]");
  const struct {
    std::vector<std::string> words;
    int code;
    const char* part;
  } rows[] = {
      {{"universal-sets"}, 2, "did you mean 'universal-set'"},
      {{"xyzzy"}, 2, "steelyard help"},
      {{"universal-set", keys}, 2, "--epsilon"},
      {{"universal-set", "--epsilon=0.1"}, 2, "takes KEYS"},
      {{"universal-set", keys, keys, "--epsilon=0.1"}, 2, "2 were given"},
      {{"universal-set", keys, "--epsilon=0"}, 2, "(0, 1]"},
      {{"universal-set", keys, "--epsilon=nan"}, 2, "(0, 1]"},
      {{"universal-set", keys, "--epsilon=abc"}, 2, "a number"},
      {{"universal-set", keys, "--epsilon"}, 2, "needs a value"},
      {{"universal-set", keys, "--epsilon=0.1", "--epsilon=0.2"}, 2, "twice"},
      {{"universal-set", keys, "--top-m=0"}, 2, ">= 1"},
      {{"universal-set", keys, "--eps=0.1"}, 2, "did you mean --epsilon"},
      {{"universal-set", keys, "--epsilon=.1", "--timeout=5"}, 2, "unit"},
      {{"universal-set", keys, "--epsilon=.1", "--tls-cert=x"}, 2, "together"},
      {{"universal-set", "none.npy", "--epsilon=0.1"}, 3, "none.npy"},
      {{"universal-set", "none.txt", "--epsilon=0.1"}, 3, ".safetensors"},
      {{"universal-set", Tensor("nothing"), "--epsilon=0.1"}, 3, "there is"},
      {{"universal-set", Tensor("layer0.keys[99]"), "--epsilon=0.1"},
       3,
       "0:12"},
      {{"universal-set", Tensor("layer0.keys[0,0]"), "--epsilon=0.1"},
       4,
       "INVALID_ARGUMENT"},
      {{"heavy", keys, Tensor("layer0.queries[0,:,0:3]")}, 4, "WRONG_SHAPE"},
      {{"solve", keys, keys}, 2, "--problem"},
      {{"solve", keys, keys, "--problem=lasso"}, 2, "one of gram-power"},
      {{"solve", keys, keys, "--problem=gram-power", "--scale=2"},
       2,
       "attention-kernel"},
      {{"solve", keys, keys, "--problem=gram-power", "--exponent=0"},
       2,
       "[1, 64]"},
      {{"solve", keys, keys, "--problem=gram-power", "--exponent=65"},
       2,
       "[0, 64]"},
      {{"solve", keys, keys, "--problem=matrix-exponential", "--ridge=1"},
       2,
       "--ridge goes with"},
      {{"solve", keys, keys, "--problem=gram-power", "--extended",
        "--output=x.npy"},
       2,
       ".safetensors"},
      {{"solve", keys, Tensor("layer0.values[0,0,:7]"), "--problem=gram-power"},
       4,
       "INVALID_ARGUMENT"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(testing::PrintToString(row.words));
    const Outcome outcome = Run(row.words);
    ExpectOneLine(outcome, row.code);
    EXPECT_THAT(outcome.err, HasSubstr(row.part));
  }
}

TEST_F(CliTest, WhatTheToolRefusesByItselfIsOneLine) {
  const struct {
    std::vector<std::string> words;
    int code;
    const char* part;
  } rows[] = {
      {{"solve", "a.npy", "b.npy", "--problem=gram-power", "--tolerance=1"},
       2,
       "(0, 1)"},
      {{"info", "--tls-ca=none.pem"}, 3, "none.pem: cannot be read"},
      {{"info", "--tls-ca=/dev/zero"}, 3, "/dev/zero: not a PEM file"},
      {{"info", "--tls-ca=/"}, 3, "cannot be read"},
      {{"info", "--server=localhost"}, 2, "HOST:PORT"},
      {{"info", "--server=127.0.0.1:0"}, 2, "HOST:PORT"},
      {{"info", "--server=127.0.0.1:99999"}, 2, "PORT 1 to 65535"},
      {{"info", "--server=http://127.0.0.1:1"}, 2, "HOST:PORT"},
      {{"info", "--server=:50551"}, 2, "HOST:PORT"},
      {{"info", "--server=::1:50551"}, 2, "HOST:PORT"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(testing::PrintToString(row.words));
    const Outcome outcome = Run(row.words);
    ExpectOneLine(outcome, row.code);
    EXPECT_THAT(outcome.err, HasSubstr(row.part));
  }
}

TEST_F(CliTest, NoServerIsFive) {
  // Port 1 of the loopback: nobody listens there.
  const Outcome health = Run({"health"}, "127.0.0.1:1");
  ExpectOneLine(health, 5);
  EXPECT_THAT(health.err, HasSubstr("is steelyard-server running"));
  ExpectOneLine(Run({"info", "--attempts=1", "--server=127.0.0.1:1"}), 5);
}

TEST_F(CliTest, TheBinaryIsTheTool) {
  const std::string binary = test::BinaryPath("client/cli/steelyard");
  const auto exit_code = [&binary](const std::string& arguments) {
    const std::string line = binary + " " + arguments + " >/dev/null 2>&1";
    return WEXITSTATUS(std::system(line.c_str()));
  };
  EXPECT_EQ(exit_code("--version"), 0);
  EXPECT_EQ(exit_code("nonsense"), 2);
  EXPECT_EQ(exit_code("health --server=" + server_->address()), 0);
  // Only our line: gRPC would log the failed handshake beside it.
  const test::ScratchFile said(".txt");
  EXPECT_EQ(WEXITSTATUS(std::system((binary + " info --tls --attempts=1 " +
                                     "--server=" + server_->address() + " 2>" +
                                     said.path())
                                        .c_str())),
            5);
  const std::string line = said.bytes();
  EXPECT_THAT(line, StartsWith("steelyard: UNAVAILABLE"));
  EXPECT_EQ(line.find('\n'), line.size() - 1) << line;
}

TEST_F(CliTest, ATensorOverTheServersLimitIsNotSent) {
  server::ServerConfig config = test::TestConfig();
  config.limits.request_bytes_max = int64_t{1} << 20;
  const test::RunningServer small(config);
  const Outcome outcome =
      Run({"universal-set", Tensor("layer0.keys[:]"), "--epsilon=0.1"},
          small.address());
  // 12 x 512 x 32 halves are below a mebibyte.
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  const test::ScratchFile big(".npy");
  ASSERT_TRUE(
      tensor_files::WriteArrays(
          big.path(), {tensor_files::NamedArray::Doubles(
                          "a", std::vector<double>(160000, 1.0), {40000, 4})})
          .ok());
  const Outcome refused =
      Run({"universal-set", big.path(), "--epsilon=0.1"}, small.address());
  ExpectOneLine(refused, 4);
  EXPECT_THAT(refused.err, HasSubstr("Nothing was sent"));
}

}  // namespace
}  // namespace steelyard
