#include "client/verify/verdict.h"

#include <gtest/gtest.h>

namespace steelyard::verify {
namespace {

TEST(VerdictTest, OneBrokenRuleBreaksIt) {
  Verdict verdict;
  verdict.Add("a", true, "");
  verdict.AddUnchecked("b", "nothing to compare with");
  EXPECT_TRUE(verdict.held());
  Verdict other;
  other.Add("c", false, "2 > 1");
  verdict.Append(other);
  EXPECT_FALSE(verdict.held());
  EXPECT_EQ(verdict.broken(), 1);
  EXPECT_EQ(verdict.findings.size(), 3u);
}

}  // namespace
}  // namespace steelyard::verify
