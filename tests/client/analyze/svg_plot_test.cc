#include "client/analyze/svg_plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace steelyard::analyze {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(SvgPlotTest, TextIsEscaped) {
  EXPECT_EQ(Escaped("a<b>&\"c'"), "a&lt;b&gt;&amp;&quot;c&#39;");
  const SvgPlot plot("<&>", {.label = "x<y"}, {.label = "z"});
  EXPECT_THAT(plot.Text(), HasSubstr("aria-label=\"&lt;&amp;&gt;\""));
  EXPECT_THAT(plot.Text(), HasSubstr(">x&lt;y<"));
}

// The frame spans x from 42 to 242 and y from 8 (top) to 116.
TEST(SvgPlotTest, MarksStandWhereTheAxesSay) {
  SvgPlot plot("", {.most = 10.0}, {.most = 4.0});
  plot.AddBar(0.0, 5.0, 2.0, "top", "half");
  EXPECT_THAT(plot.Text(),
              HasSubstr("<rect class=\"top\" x=\"42.5\" y=\"62.0\" "
                        "width=\"99.0\" height=\"54.0\"><title>half<"));
  plot.AddLine(std::vector<std::pair<double, double>>{{0.0, 0.0}, {10.0, 4.0}},
               "size");
  EXPECT_THAT(plot.Text(), HasSubstr("d=\"M42.0 116.0L242.0 8.0\""));
}

TEST(SvgPlotTest, LogarithmicAxesSpaceDecadesEvenly) {
  SvgPlot plot("", {.least = 1e-2, .most = 1.0, .logarithmic = true}, {});
  plot.AddLine(
      std::vector<std::pair<double, double>>{
          {1e-2, 0.0}, {1e-1, 0.0}, {1.0, 0.0}, {1e-5, 0.0}},
      "size");
  // What lies outside stands at the edge.
  EXPECT_THAT(
      plot.Text(),
      HasSubstr("d=\"M42.0 116.0L142.0 116.0L242.0 116.0L42.0 116.0\""));
  EXPECT_THAT(Decades(2e-3, 100.0), ElementsAre(0.01, 0.1, 1.0, 10.0, 100.0));
}

TEST(SvgPlotTest, StemsOfOnePixelShowTheHighest) {
  std::vector<std::pair<double, double>> points;
  for (int i = 0; i < 100000; ++i)
    points.emplace_back(i, i == 50000 ? 1.0 : 0.1);
  SvgPlot plot("", {.most = 99999.0}, {.most = 1.0});
  plot.AddStems(points, "stem");
  EXPECT_LT(plot.Text().size(), 12000u);
  EXPECT_THAT(plot.Text(), HasSubstr("M142.0 116.0V8.0"));
}

TEST(SvgPlotTest, ALineWithoutPointsIsNotDrawn) {
  SvgPlot plot("", {}, {});
  plot.AddLine({}, "size");
  EXPECT_THAT(plot.Text(), Not(HasSubstr("class=\"size\"")));
}

}  // namespace
}  // namespace steelyard::analyze
