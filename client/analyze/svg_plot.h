// Small plots as SVG text: bars, steps, stems, with labelled axes. Colours are
// CSS classes of the page (html_page.cc).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"

namespace steelyard::analyze {

struct Axis {
  double least = 0.0;
  double most = 1.0;
  bool logarithmic = false;  // Then 0 < least.
  std::string label;
  // Where a number stands on the axis; the text is that of the number.
  std::vector<double> ticks;
};

// `&`, `<`, `>`, and quotes as entities: for text and attributes.
std::string Escaped(const std::string& text);

class SvgPlot {
 public:
  // `title` is what a screen reader says.
  SvgPlot(std::string title, Axis x, Axis y);

  // A bar from `left` to `right` (on the x axis) of this height, with a text
  // that shows on hover.
  void AddBar(double left, double right, double height,
              const std::string& style, const std::string& hover);

  // A line through the points. `style` is a class.
  void AddLine(absl::Span<const std::pair<double, double>> points,
               const std::string& style);

  // Vertical strokes from the x axis, merged where they share a pixel (the
  // highest stays).
  void AddStems(absl::Span<const std::pair<double, double>> points,
                const std::string& style);

  std::string Text() const;

 private:
  double Across(double x) const;
  double Up(double y) const;
  std::string AxesText() const;

  std::string title_;
  Axis x_;
  Axis y_;
  std::string marks_;
};

// Powers of ten in [least, most].
std::vector<double> Decades(double least, double most);

}  // namespace steelyard::analyze
