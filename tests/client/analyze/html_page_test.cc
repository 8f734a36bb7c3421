#include "client/analyze/html_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/client/analyze/small_report.h"

namespace steelyard::analyze {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::size_t Count(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos;
       at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

TEST(HtmlPageTest, EachHeadHasFivePlotsAndARow) {
  const std::string page = HtmlPage(test::SmallReport());
  EXPECT_THAT(page, StartsWith("<!DOCTYPE html>"));
  EXPECT_EQ(Count(page, "<svg "), 10u);
  EXPECT_EQ(Count(page, "</svg>"), 10u);
  EXPECT_EQ(Count(page, "<section"), 2u);
  EXPECT_EQ(Count(page, "<tr><td>"), 2u);
  EXPECT_THAT(page, HasSubstr("<td>0.950</td><td>0.375</td><td>0.625</td>"));
}

TEST(HtmlPageTest, CausalLeverageIsThatOnArrival) {
  Report report = test::SmallReport();
  EXPECT_THAT(HtmlPage(report), Not(HasSubstr("arriv")));
  report.settings.mass.causal = true;
  const std::string page = HtmlPage(report);
  EXPECT_THAT(page, HasSubstr("can give the key when it arrives"));
  EXPECT_EQ(Count(page, "sum of leverages / epsilon"), 2u);
}

TEST(HtmlPageTest, NeedsNothingButItself) {
  const std::string page = HtmlPage(test::SmallReport());
  for (const char* outside :
       {"http:", "https:", "src=", "@import", "url(", "<script", "<link"}) {
    EXPECT_THAT(page, Not(HasSubstr(outside))) << outside;
  }
}

TEST(HtmlPageTest, NamesCannotBecomeMarkup) {
  const std::string page = HtmlPage(test::SmallReport());
  EXPECT_THAT(page, HasSubstr("<h2>&lt;b&gt;&amp;&quot;&#39;</h2>"));
  EXPECT_THAT(page, Not(HasSubstr("<h2><b>")));
}

TEST(HtmlPageTest, KeysWithoutLeverageAndHeadsWithoutQueriesAreShown) {
  Report report = test::SmallReport();
  HeadReport& head = report.layers[0].heads[0];
  head.sensitivities.assign(4, 0.0);
  head.set_sizes =
      SetSizes(head.sensitivities, 0, kLeastEpsilon, kThresholdsPerDecade);
  head.masses = {};
  const std::string page = HtmlPage(report);
  EXPECT_EQ(Count(page, "<svg "), 10u);
  EXPECT_THAT(page, Not(HasSubstr("nan")));
  EXPECT_THAT(page, Not(HasSubstr("inf<")));
}

}  // namespace
}  // namespace steelyard::analyze
