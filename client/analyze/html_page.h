// The report for people: one page that needs nothing but itself.
#pragma once

#include <string>

#include "client/analyze/report.h"

namespace steelyard::analyze {

// HTML 5, UTF-8, styles and SVG inside; no script, no network.
std::string HtmlPage(const Report& report);

}  // namespace steelyard::analyze
