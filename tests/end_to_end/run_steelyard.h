// The command-line tool in this process, against a server in this process.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "client/cli/tool.h"
#include "tests/support/source_paths.h"
#include "tests/support_server/running_server.h"

namespace steelyard::test {

struct Outcome {
  int code = -1;
  std::string out;
  std::string err;
};

inline Outcome RunSteelyard(const std::string& server,
                            const std::vector<std::string>& words) {
  std::ostringstream out;
  std::ostringstream err;
  Outcome outcome;
  outcome.code = cli::RunTool(words, {.out = out,
                                      .err = err,
                                      .err_is_terminal = false,
                                      .server_from_environment = server});
  outcome.out = out.str();
  outcome.err = err.str();
  return outcome;
}

// A tensor of the fixture, as the tool takes it.
inline std::string FixtureTensor(const std::string& name) {
  return SourcePath("tests/data/minilm_qkv.safetensors") + ":" + name;
}

// One line, starting with the name of the tool, and nothing else.
inline void ExpectOneLine(const Outcome& outcome, int code) {
  EXPECT_EQ(outcome.code, code) << outcome.err;
  EXPECT_THAT(outcome.err, testing::StartsWith("steelyard: "));
  EXPECT_EQ(outcome.err.find('\n'), outcome.err.size() - 1) << outcome.err;
  EXPECT_THAT(outcome.out, testing::IsEmpty());
}

// Tests that share one server, from the first of the suite to the last.
class ToolTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { Start(TestConfig()); }
  static void TearDownTestSuite() { server_.reset(); }
  static void Start(const server::ServerConfig& config) {
    server_ = std::make_unique<RunningServer>(config);
  }

  static Outcome Run(const std::vector<std::string>& words) {
    return RunSteelyard(server_->address(), words);
  }
  // The JSON object that a command prints; fails the test on any other exit.
  static nlohmann::json Json(std::vector<std::string> words, int code = 0) {
    words.push_back("--json");
    const Outcome outcome = Run(words);
    EXPECT_EQ(outcome.code, code) << outcome.err;
    EXPECT_THAT(outcome.err, testing::IsEmpty());
    return nlohmann::json::parse(outcome.out, nullptr, false);
  }
  static std::string Tensor(const std::string& name) {
    return FixtureTensor(name);
  }

  static inline std::unique_ptr<RunningServer> server_;
};

}  // namespace steelyard::test
