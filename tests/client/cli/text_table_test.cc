#include "client/cli/text_table.h"

#include <sstream>

#include <gtest/gtest.h>

namespace steelyard::cli {
namespace {

TEST(TextTableTest, NumbersToTheRightWordsToTheLeft) {
  TextTable table({"n", "word", "x"});
  table.AddRow({"7", "a", "1.5e-16"});
  table.AddRow({"1000", "longer", "-"});
  std::ostringstream out;
  table.Print(out);
  EXPECT_EQ(out.str(),
            "     n  word          x\n"
            "     7  a       1.5e-16\n"
            "  1000  longer        -\n");
}

TEST(TextTableTest, NumbersAreBrief) {
  EXPECT_EQ(Brief(320), "320");
  EXPECT_EQ(Brief(0), "0");
  EXPECT_EQ(Brief(0.123456), "0.123");
  EXPECT_EQ(Brief(1.2345e-15), "1.23e-15");
  EXPECT_EQ(BriefSeconds(2e-5), "20 us");
  EXPECT_EQ(BriefSeconds(0.0125), "12.5 ms");
  EXPECT_EQ(BriefSeconds(3.5), "3.5 s");
  EXPECT_EQ(BriefBytes(512), "512 B");
  EXPECT_EQ(BriefBytes(int64_t{256} << 20), "256 MiB");
}

}  // namespace
}  // namespace steelyard::cli
