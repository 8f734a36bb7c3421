// Three sections of the demo against a server, in process; the planted keys of
// up to a million rows are left to scripts/demo.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <sstream>

#include "client/examples/demo/section.h"
#include "tests/support/source_paths.h"
#include "tests/support_server/running_server.h"

namespace steelyard::demo {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class DemoTest : public testing::Test {
 protected:
  static std::string Fixture() {
    return test::SourcePath("tests/data/minilm_qkv.safetensors");
  }

  test::RunningServer server_;
  std::ostringstream out_;
};

TEST_F(DemoTest, RealKeysAndRegressionsHold) {
  auto client = client::Client::Create(server_.address());
  ASSERT_TRUE(client.ok()) << client.status();
  Stage stage{.client = *client, .fixture = Fixture(), .out = out_};
  ASSERT_TRUE(ShowRealKeys(&stage).ok());
  ASSERT_TRUE(ShowRegressions(&stage).ok());
  EXPECT_TRUE(stage.verdict.held());
  EXPECT_GT(stage.verdict.findings.size(), 1000u);
  EXPECT_THAT(out_.str(), HasSubstr("epsilon = 0.4"));
  EXPECT_THAT(out_.str(), Not(HasSubstr("BROKEN")));
}

TEST_F(DemoTest, StreamedKeysGiveTheSetOfOneMessage) {
  auto client = client::Client::Create(server_.address());
  ASSERT_TRUE(client.ok()) << client.status();
  Stage stage{.client = *client, .fixture = Fixture(), .out = out_};
  const absl::Status shown = ShowStreamedKeys(&stage);
  ASSERT_TRUE(shown.ok()) << shown;
  EXPECT_TRUE(stage.verdict.held());
  EXPECT_EQ(stage.verdict.findings.size(), 6u);
  EXPECT_THAT(out_.str(), Not(HasSubstr("BROKEN")));
  EXPECT_TRUE(client->ListUniversalSets()->empty());
}

TEST_F(DemoTest, TheBinaryChecksItsArguments) {
  const std::string binary =
      test::BinaryPath("client/examples/demo/steelyard-demo");
  const auto exit_code = [&binary](const std::string& arguments) {
    const std::string line = binary + " " + arguments + " >/dev/null 2>&1";
    return WEXITSTATUS(std::system(line.c_str()));
  };
  EXPECT_EQ(exit_code("--nonsense"), 2);
  EXPECT_EQ(
      exit_code("--fixture=none.safetensors --server=" + server_.address()), 3);
}

TEST_F(DemoTest, AMissingFixtureIsAnError) {
  auto client = client::Client::Create(server_.address());
  ASSERT_TRUE(client.ok()) << client.status();
  Stage stage{.client = *client, .fixture = "none.safetensors", .out = out_};
  EXPECT_FALSE(ShowRealKeys(&stage).ok());
  EXPECT_FALSE(ShowRegressions(&stage).ok());
}

}  // namespace
}  // namespace steelyard::demo
