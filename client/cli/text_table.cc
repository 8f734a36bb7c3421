#include "client/cli/text_table.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace steelyard::cli {
namespace {

bool LooksNumeric(const std::string& cell) {
  double ignored = 0.0;
  return cell.empty() || cell == "-" || absl::SimpleAtod(cell, &ignored);
}

}  // namespace

void TextTable::Print(std::ostream& out) const {
  const std::size_t columns = headings_.size();
  std::vector<std::size_t> widths(columns);
  std::vector<bool> numeric(columns, true);
  for (std::size_t c = 0; c < columns; ++c) {
    widths[c] = headings_[c].size();
    for (const auto& row : rows_) {
      widths[c] = std::max(widths[c], row[c].size());
      numeric[c] = numeric[c] && LooksNumeric(row[c]);
    }
  }
  const auto print_line = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (std::size_t c = 0; c < columns; ++c) {
      const std::string padding(widths[c] - cells[c].size(), ' ');
      line += numeric[c] ? absl::StrCat("  ", padding, cells[c])
                         : absl::StrCat("  ", cells[c], padding);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out << line << "\n";
  };
  print_line(headings_);
  for (const auto& row : rows_) print_line(row);
}

std::string Brief(double number) {
  if (number == std::floor(number) && std::abs(number) < 1e15) {
    return absl::StrFormat("%.0f", number);
  }
  return absl::StrFormat("%.3g", number);
}

std::string BriefSeconds(double seconds) {
  if (seconds < 1e-3) return absl::StrFormat("%.3g us", seconds * 1e6);
  if (seconds < 1.0) return absl::StrFormat("%.3g ms", seconds * 1e3);
  return absl::StrFormat("%.3g s", seconds);
}

std::string BriefBytes(int64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto size = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (size >= 1024.0 && unit + 1 < std::size(kUnits)) {
    size /= 1024.0;
    ++unit;
  }
  return absl::StrFormat("%.4g %s", size, kUnits[unit]);
}

}  // namespace steelyard::cli
