// The programs of client/examples, as a newcomer runs them.
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <sstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/source_paths.h"
#include "tests/support_server/running_server.h"

namespace steelyard::test {
namespace {

using ::testing::HasSubstr;

struct Outcome {
  int status = -1;     // As of wait(2); 0: the program succeeded.
  std::string output;  // Of both streams.
};

Outcome RunExample(const std::string& example, const std::string& argument) {
  const std::string command = "'" + BinaryPath("client/examples/" + example) +
                              "' " + argument + " 2>&1";
  Outcome outcome;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return outcome;
  char piece[256];
  while (fgets(piece, sizeof(piece), pipe) != nullptr) outcome.output += piece;
  outcome.status = pclose(pipe);
  return outcome;
}

TEST(ExamplesTest, FindUniversalSet) {
  RunningServer server;
  const Outcome outcome = RunExample("find_universal_set", server.address());
  EXPECT_EQ(outcome.status, 0) << outcome.output;
  // Two long keys were planted: each can have all the attention.
  EXPECT_THAT(outcome.output, HasSubstr("2 of 2000 keys"));
  EXPECT_THAT(outcome.output, HasSubstr("key 7 up to"));
  EXPECT_THAT(outcome.output, HasSubstr("query 1: key 1234 scores"));
  EXPECT_THAT(outcome.output, HasSubstr("query 2: nobody"));
}

TEST(ExamplesTest, SolvePowerRegression) {
  RunningServer server;
  const Outcome outcome =
      RunExample("solve_power_regression", server.address());
  EXPECT_EQ(outcome.status, 0) << outcome.output;
  EXPECT_THAT(outcome.output, HasSubstr("(A'A)^2 x = b: CONVERGED"));
  EXPECT_THAT(outcome.output, HasSubstr("x = 1 2 3 4 5 6 7 8"));
  EXPECT_THAT(outcome.output, HasSubstr("min |A x - b|: CONVERGED"));
}

TEST(ExamplesTest, AttentionKernel) {
  RunningServer server;
  const Outcome outcome = RunExample("attention_kernel", server.address());
  EXPECT_EQ(outcome.status, 0) << outcome.output;
  // One token stands there twice, so that K alone is singular.
  EXPECT_THAT(outcome.output, HasSubstr("ILL_CONDITIONED after"));
  EXPECT_THAT(outcome.output, HasSubstr("CONVERGED after"));
}

std::string WithFixture(const std::string& address) {
  return address + " '" + SourcePath("tests/data/minilm_qkv.safetensors") + "'";
}

TEST(ExamplesTest, StreamKeys) {
  RunningServer server;
  const Outcome outcome =
      RunExample("stream_keys", WithFixture(server.address()));
  EXPECT_EQ(outcome.status, 0) << outcome.output;
  // 512 keys, 20 times, cut, and 20 times more.
  EXPECT_THAT(outcome.output, HasSubstr("after 10240 keys"));
  EXPECT_THAT(outcome.output, HasSubstr("resumed at key 10240"));
  EXPECT_THAT(outcome.output, HasSubstr("20480 keys"));
}

TEST(ExamplesTest, LevAttention) {
  RunningServer server;
  const Outcome outcome =
      RunExample("levattention", WithFixture(server.address()));
  EXPECT_EQ(outcome.status, 0) << outcome.output;
  EXPECT_THAT(outcome.output, HasSubstr("recency"));
  EXPECT_THAT(outcome.output, HasSubstr("of 512"));
}

TEST(ExamplesTest, AttentionRegression) {
  RunningServer server;
  const Outcome outcome =
      RunExample("attention_regression", WithFixture(server.address()) + " 1");
  EXPECT_EQ(outcome.status, 0) << outcome.output;
  // head, kernel regression, nearest query, nearest key: a fit is better than
  // a neighbour, and both than the mean.
  const std::size_t row = outcome.output.find("\n     0 ");
  ASSERT_NE(row, std::string::npos) << outcome.output;
  std::istringstream numbers(outcome.output.substr(row));
  double head = -1;
  double fit = 9;
  double by_query = 9;
  double by_key = 9;
  numbers >> head >> fit >> by_query >> by_key;
  EXPECT_EQ(head, 0);
  EXPECT_LT(fit, by_query);
  EXPECT_LT(fit, by_key);
  EXPECT_LT(by_query, 1.0);
}

TEST(ExamplesTest, KernelPreconditioners) {
  RunningServer server;
  const Outcome outcome =
      RunExample("kernel_preconditioners",
                 server.address() + " '" +
                     SourcePath("tests/data/minilm_qkv.safetensors") +
                     ":layer0.keys[0,:128]'");
  EXPECT_EQ(outcome.status, 0) << outcome.output;
  EXPECT_THAT(outcome.output, HasSubstr("128 x 32"));
  EXPECT_THAT(outcome.output, HasSubstr("s = 1.414: condition "));
  EXPECT_THAT(outcome.output, HasSubstr("jacobi "));
  EXPECT_THAT(outcome.output, HasSubstr("chosen, "));
}

TEST(ExamplesTest, StoredMatrix) {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() /
      ("steelyard-example-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  server::ServerConfig config = TestConfig();
  config.matrix_directory = folder.string();
  {
    RunningServer server(config);
    const Outcome outcome = RunExample("stored_matrix", server.address());
    EXPECT_EQ(outcome.status, 0) << outcome.output;
    // 20000 x 32 numbers of 4 bytes.
    EXPECT_THAT(outcome.output, HasSubstr("2560000 bytes were sent"));
    EXPECT_THAT(outcome.output, HasSubstr("factor made"));
    EXPECT_THAT(outcome.output, HasSubstr("day 3: CONVERGED"));
  }
  std::filesystem::remove_all(folder);
}

TEST(ExamplesTest, WithoutAnAddressTheySayWhatTheyTake) {
  for (const char* example :
       {"find_universal_set", "solve_power_regression", "attention_kernel",
        "stream_keys", "levattention", "stored_matrix", "attention_regression",
        "kernel_preconditioners"}) {
    const Outcome outcome = RunExample(example, "");
    EXPECT_NE(outcome.status, 0);
    EXPECT_THAT(outcome.output, HasSubstr("usage: "));
  }
}

}  // namespace
}  // namespace steelyard::test
