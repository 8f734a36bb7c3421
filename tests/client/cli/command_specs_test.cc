#include "client/cli/command_spec.h"

#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/cli/help.h"

namespace steelyard::cli {
namespace {

using ::testing::HasSubstr;

TEST(CommandSpecsTest, EveryFlagIsExplainedOnce) {
  ASSERT_EQ(Commands().size(), 11u);
  for (const CommandSpec& command : Commands()) {
    std::set<std::string> names;
    for (const FlagSpec& flag : command.flags) {
      EXPECT_TRUE(names.insert(flag.name).second)
          << command.name << " --" << flag.name;
      EXPECT_FALSE(flag.help.empty()) << flag.name;
      // A flag takes a value exactly where the help shows one.
      EXPECT_EQ(flag.value.empty(), flag.kind == FlagKind::kSwitch)
          << flag.name;
      EXPECT_EQ(flag.choices.empty(), flag.kind != FlagKind::kChoice)
          << flag.name;
    }
    EXPECT_EQ(FindCommand(command.name), &command);
    EXPECT_FALSE(command.examples.empty());
  }
  EXPECT_EQ(FindCommand("nonsense"), nullptr);
}

TEST(CommandSpecsTest, TheHelpFitsATerminalAndNamesEveryFlag) {
  for (const CommandSpec& command : Commands()) {
    std::ostringstream out;
    PrintHelp(command, out);
    for (const FlagSpec& flag : command.flags) {
      EXPECT_THAT(out.str(), HasSubstr("--" + flag.name));
    }
    std::istringstream lines(out.str());
    for (std::string line; std::getline(lines, line);) {
      EXPECT_LE(line.size(), 80u) << line;
    }
  }
}

}  // namespace
}  // namespace steelyard::cli
