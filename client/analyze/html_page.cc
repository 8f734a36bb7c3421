#include "client/analyze/html_page.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/analyze/histogram.h"
#include "client/analyze/report_json.h"
#include "client/analyze/svg_plot.h"

namespace steelyard::analyze {
namespace {

constexpr char kStyle[] = R"(
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5c6673;
  --line: #c9d0d9; --paper: #ffffff; --panel: #f5f7f9; --top: #3b6fb6;
  --near: #c9822b; --both: #2f8f6b; --set: #8a4fa3; --stem: #44566c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #9aa5b3;
  --line: #3b4552; --paper: #14181e; --panel: #1b2129; --top: #7aa7e0;
  --near: #e3a75a; --both: #62c39d; --set: #c08bd6; --stem: #a9b8c9; } }
body { margin: 0 auto; max-width: 1400px; padding: 1.5rem; color: var(--ink);
  background: var(--paper); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; } h2 { margin: 2.5rem 0 0.5rem; }
p, dd { max-width: 75ch; } .soft, dt { color: var(--soft); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem; }
dd { margin: 0; } nav a { margin-right: 1rem; color: var(--top); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.15rem 0.8rem; text-align: right;
  border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; }
.scroll { overflow-x: auto; margin-bottom: 1rem; }
.head { display: grid; gap: 0.5rem; align-items: end; min-width: 1050px;
  grid-template-columns: 4.5rem repeat(5, minmax(180px, 1fr)); }
.head > b { align-self: center; }
.head > span { color: var(--soft); font-size: 0.85rem; }
svg { width: 100%; background: var(--panel); border-radius: 4px; }
svg text { font-size: 9px; fill: var(--soft); }
.axis { fill: none; stroke: var(--line); }
.top { fill: var(--top); } .near { fill: var(--near); }
.both { fill: var(--both); }
.size { fill: none; stroke: var(--set); stroke-width: 1.8; }
.bound { fill: none; stroke: var(--soft); stroke-dasharray: 3 3; }
.stem { fill: none; stroke: var(--stem); stroke-width: 0.8; }
)";

std::string MassPlot(const std::string& what, const std::vector<double>& masses,
                     const std::string& style) {
  const std::vector<int64_t> counts = Histogram(masses, kMassBins);
  const auto most = static_cast<double>(
      std::max<int64_t>(1, *std::max_element(counts.begin(), counts.end())));
  SvgPlot plot(absl::StrFormat("Histogram of the mass of %s: median %.3g", what,
                               Quantile(masses, 0.5)),
               {.label = "mass", .ticks = {0.0, 0.5, 1.0}},
               {.most = most, .label = "queries", .ticks = {0.0, most}});
  for (std::size_t bin = 0; bin < counts.size(); ++bin) {
    const double left = static_cast<double>(bin) / kMassBins;
    const double right = static_cast<double>(bin + 1) / kMassBins;
    if (counts[bin] == 0) continue;
    plot.AddBar(left, right, static_cast<double>(counts[bin]), style,
                absl::StrFormat("%d queries: mass %.2f to %.2f", counts[bin],
                                left, right));
  }
  return plot.Text();
}

std::string SizePlot(const HeadReport& head) {
  std::vector<std::pair<double, double>> sizes;
  std::vector<std::pair<double, double>> bounds;
  for (const SetSize& size : head.set_sizes) {
    // No key reaches this epsilon: the curve has ended.
    if (size.size > 0) {
      sizes.emplace_back(size.epsilon, static_cast<double>(size.size));
    }
    bounds.emplace_back(size.epsilon, std::max(1.0, size.bound));
  }
  const double most = std::max(10.0, static_cast<double>(head.keys));
  SvgPlot plot("Size of the universal set against its threshold",
               {.least = kLeastEpsilon,
                .most = 1.0,
                .logarithmic = true,
                .label = "epsilon",
                .ticks = Decades(kLeastEpsilon, 1.0)},
               {.least = 1.0,
                .most = most,
                .logarithmic = true,
                .label = "keys in U",
                .ticks = Decades(1.0, most)});
  plot.AddLine(bounds, "bound");
  plot.AddLine(sizes, "size");
  return plot.Text();
}

std::string SensitivityPlot(const HeadReport& head) {
  std::vector<std::pair<double, double>> stems;
  double most = 0.0;
  for (std::size_t key = 0; key < head.sensitivities.size(); ++key) {
    stems.emplace_back(static_cast<double>(key), head.sensitivities[key]);
    most = std::max(most, head.sensitivities[key]);
  }
  const auto last = std::max(1.0, static_cast<double>(head.keys - 1));
  if (most == 0.0) most = 1.0;
  SvgPlot plot("Leverage against token position",
               {.most = last, .label = "position", .ticks = {0.0, last}},
               {.most = most, .label = "leverage", .ticks = {0.0, most}});
  plot.AddStems(stems, "stem");
  return plot.Text();
}

std::string HeadRow(const HeadReport& head) {
  std::string label = absl::StrCat("<b>head ", head.head, "</b>");
  const Masses& masses = head.masses;
  return absl::StrCat(
      "<div class=\"head\">", label,
      MassPlot("the top keys", masses.top, "top"),
      MassPlot("the keys nearby", masses.near, "near"),
      MassPlot("important and nearby keys", masses.important_and_near, "both"),
      SizePlot(head), SensitivityPlot(head), "</div>\n");
}

std::string SummaryTable(const LayerReport& layer) {
  std::string rows;
  for (const HeadReport& head : layer.heads) {
    const Masses& masses = head.masses;
    absl::StrAppendFormat(
        &rows,
        "<tr><td>%d</td><td>%d</td><td>%d</td><td>%d</td><td>%d</td>"
        "<td>%.3f</td><td>%.3f</td><td>%.3f</td><td>%.3f</td><td>%.0f</td>"
        "</tr>\n",
        head.head, head.keys, head.rank,
        KeysAtLeast(head.sensitivities, 0.1).size(),
        KeysAtLeast(head.sensitivities, 0.01).size(), Quantile(masses.top, 0.5),
        Quantile(masses.near, 0.5), Quantile(masses.important, 0.5),
        Quantile(masses.important_and_near, 0.5), masses.keys_kept);
  }
  return absl::StrCat(
      "<div class=\"scroll\"><table><thead><tr><th>head</th><th>keys</th>"
      "<th>rank</th><th>|U| at 0.1</th><th>|U| at 0.01</th>"
      "<th>top</th><th>nearby</th><th>important</th>"
      "<th>important + nearby</th><th>keys of these</th></tr></thead><tbody>\n",
      rows, "</tbody></table></div>\n");
}

std::string LayerSection(const LayerReport& layer, const Settings& settings,
                         std::size_t number) {
  std::string section =
      absl::StrCat("<section id=\"layer", number, "\">\n<h2>",
                   Escaped(layer.name), "</h2>\n<p class=\"soft\">keys ",
                   Escaped(layer.keys), ", queries ", Escaped(layer.queries),
                   ", f = ", Escaped(FunctionText(settings, layer.scale)),
                   ". Masses in the table are medians over queries.</p>\n",
                   SummaryTable(layer));
  absl::StrAppend(&section,
                  "<div class=\"scroll\"><div class=\"head\"><span></span>"
                  "<span>mass of the top ",
                  settings.mass.top, "</span><span>mass of nearby keys</span>",
                  "<span>mass of important and nearby keys</span>",
                  settings.mass.causal
                      ? "<span>size of U; dashed: sum of leverages / epsilon"
                        "</span><span>leverage on arrival, by position</span>"
                      : "<span>size of U; dashed: rank / epsilon</span>"
                        "<span>leverage by position</span>",
                  "</div>\n");
  for (const HeadReport& head : layer.heads) {
    absl::StrAppend(&section, HeadRow(head));
  }
  return absl::StrCat(section, "</div></section>\n");
}

std::string Introduction(const Report& report) {
  const Settings& settings = report.settings;
  std::string links;
  for (std::size_t i = 0; i < report.layers.size(); ++i) {
    absl::StrAppend(&links, "<a href=\"#layer", i, "\">",
                    Escaped(report.layers[i].name), "</a>");
  }
  return absl::StrCat(
      "<h1>Which keys matter</h1>\n<p>Attention score of key j for query i: "
      "f(q<sub>i</sub>, k<sub>j</sub>) over its sum for all keys",
      settings.mass.causal ? " up to the query's own position" : "",
      ". The mass of some keys is the sum of their scores for one query; a "
      "histogram counts queries.</p>\n<dl>\n<dt>top</dt><dd>the ",
      settings.mass.top,
      " keys of largest score, another choice for each query</dd>\n"
      "<dt>nearby</dt><dd>keys ",
      Escaped(DescriptionOf(settings.mass.near)),
      " of the query</dd>\n<dt>important</dt><dd>",
      Escaped(ImportantText(settings)),
      ", the same for every query</dd>\n<dt>leverage</dt><dd>the largest "
      "&lt;q,k&gt;&sup2; score that any query can give the key",
      settings.mass.causal ? " when it arrives" : "",
      "; U holds the keys whose leverage reaches epsilon</dd>\n</dl>\n",
      "<nav>", links, "</nav>\n");
}

}  // namespace

std::string HtmlPage(const Report& report) {
  std::string page = absl::StrCat(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width\">\n"
      "<title>Which keys matter</title>\n<style>",
      kStyle, "</style>\n</head>\n<body>\n", Introduction(report));
  for (std::size_t i = 0; i < report.layers.size(); ++i) {
    absl::StrAppend(&page, LayerSection(report.layers[i], report.settings, i));
  }
  return absl::StrCat(page, "<p class=\"soft\">steelyard ",
                      Escaped(report.version), "</p>\n</body>\n</html>\n");
}

}  // namespace steelyard::analyze
