#include "client/cli/help.h"

#include <sstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace steelyard::cli {
namespace {

using ::testing::HasSubstr;

TEST(HelpTest, ListsCommandsInputsAndExitCodes) {
  std::ostringstream out;
  PrintHelp(out);
  for (const CommandSpec& command : Commands()) {
    EXPECT_THAT(out.str(), HasSubstr("  " + command.name + " "));
  }
  for (int code = 0; code <= 7; ++code) {
    EXPECT_THAT(out.str(), HasSubstr("\n  " + std::to_string(code) + "  "));
  }
  EXPECT_THAT(out.str(), HasSubstr("model.safetensors:layer0.keys[3]"));
}

}  // namespace
}  // namespace steelyard::cli
