#include "client/analyze/svg_plot.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace steelyard::analyze {
namespace {

// Pixels of the drawing and of its margins.
constexpr double kWidth = 250.0;
constexpr double kHeight = 154.0;
constexpr double kLeft = 42.0;
constexpr double kRight = 8.0;
constexpr double kTop = 8.0;
constexpr double kBottom = 38.0;

double PlaceOn(const Axis& axis, double value) {
  const double inside = std::clamp(value, axis.least, axis.most);
  if (axis.logarithmic) {
    return std::log(inside / axis.least) / std::log(axis.most / axis.least);
  }
  return (inside - axis.least) / (axis.most - axis.least);
}

std::string Number(double value) { return absl::StrFormat("%.4g", value); }

}  // namespace

std::string Escaped(const std::string& text) {
  std::string escaped;
  for (const char letter : text) {
    switch (letter) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += letter;
    }
  }
  return escaped;
}

SvgPlot::SvgPlot(std::string title, Axis x, Axis y)
    : title_(std::move(title)), x_(std::move(x)), y_(std::move(y)) {}

double SvgPlot::Across(double x) const {
  return kLeft + PlaceOn(x_, x) * (kWidth - kLeft - kRight);
}

double SvgPlot::Up(double y) const {
  return kHeight - kBottom - PlaceOn(y_, y) * (kHeight - kTop - kBottom);
}

void SvgPlot::AddBar(double left, double right, double height,
                     const std::string& style, const std::string& hover) {
  const double from = Across(left) + 0.5;
  const double width = std::max(0.5, Across(right) - from - 0.5);
  absl::StrAppendFormat(
      &marks_,
      "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
      "height=\"%.1f\"><title>%s</title></rect>",
      style, from, Up(height), width, Up(y_.least) - Up(height),
      Escaped(hover));
}

void SvgPlot::AddLine(absl::Span<const std::pair<double, double>> points,
                      const std::string& style) {
  if (points.empty()) return;
  std::string path;
  for (const auto& [x, y] : points) {
    absl::StrAppendFormat(&path, "%s%.1f %.1f", path.empty() ? "M" : "L",
                          Across(x), Up(y));
  }
  absl::StrAppend(&marks_, "<path class=\"", style, "\" d=\"", path, "\"/>");
}

void SvgPlot::AddStems(absl::Span<const std::pair<double, double>> points,
                       const std::string& style) {
  std::map<int, double> highest;
  for (const auto& [x, y] : points) {
    const int pixel = static_cast<int>(std::lround(2.0 * Across(x)));
    const auto [stem, is_new] = highest.emplace(pixel, y);
    if (!is_new) stem->second = std::max(stem->second, y);
  }
  std::string path;
  for (const auto& [pixel, y] : highest) {
    absl::StrAppendFormat(&path, "M%.1f %.1fV%.1f", pixel / 2.0, Up(y_.least),
                          Up(y));
  }
  absl::StrAppend(&marks_, "<path class=\"", style, "\" d=\"", path, "\"/>");
}

std::string SvgPlot::AxesText() const {
  const double bottom = kHeight - kBottom;
  std::string text =
      absl::StrFormat("<path class=\"axis\" d=\"M%.1f %.1fV%.1fH%.1f\"/>",
                      kLeft, kTop, bottom, kWidth - kRight);
  for (const double tick : x_.ticks) {
    absl::StrAppendFormat(&text,
                          "<text x=\"%.1f\" y=\"%.1f\" "
                          "text-anchor=\"middle\">%s</text>",
                          Across(tick), bottom + 16.0, Number(tick));
  }
  for (const double tick : y_.ticks) {
    absl::StrAppendFormat(&text,
                          "<text x=\"%.1f\" y=\"%.1f\" "
                          "text-anchor=\"end\">%s</text>",
                          kLeft - 4.0, Up(tick) + 3.0, Number(tick));
  }
  absl::StrAppendFormat(&text,
                        "<text class=\"label\" x=\"%.1f\" y=\"%.1f\" "
                        "text-anchor=\"middle\">%s</text>"
                        "<text class=\"label\" text-anchor=\"middle\" "
                        "transform=\"translate(9 %.1f) rotate(-90)\">%s</text>",
                        (kLeft + kWidth - kRight) / 2.0, kHeight - 6.0,
                        Escaped(x_.label), (kTop + bottom) / 2.0,
                        Escaped(y_.label));
  return text;
}

std::string SvgPlot::Text() const {
  return absl::StrFormat(
      "<svg viewBox=\"0 0 %g %g\" role=\"img\" aria-label=\"%s\">%s%s</svg>",
      kWidth, kHeight, Escaped(title_), marks_, AxesText());
}

std::vector<double> Decades(double least, double most) {
  std::vector<double> decades;
  const int first = static_cast<int>(std::ceil(std::log10(least) - 1e-9));
  const int last = static_cast<int>(std::floor(std::log10(most) + 1e-9));
  for (int power = first; power <= last; ++power) {
    decades.push_back(std::pow(10.0, power));
  }
  return decades;
}

}  // namespace steelyard::analyze
