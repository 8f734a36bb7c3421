#include "client/cli/common_flags.h"

#include <gtest/gtest.h>

namespace steelyard::cli {
namespace {

TEST(CommonFlagsTest, OwnFlagsComeFirstAndEveryCommandHasTheServer) {
  const std::vector<FlagSpec> flags =
      Joined({Output("write x to FILE"), Show("entries of x printed.")});
  ASSERT_EQ(flags.size(), 2 + CommonFlags().size());
  EXPECT_EQ(flags[0].name, "output");
  EXPECT_EQ(flags[0].help, "write x to FILE");
  EXPECT_EQ(flags[1].name, "show");
  EXPECT_EQ(flags[1].help, "entries of x printed.\nIn [0, 1000000]. Default: 10");
  EXPECT_EQ(flags[2].name, "server");
}

}  // namespace
}  // namespace steelyard::cli
