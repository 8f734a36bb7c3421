#include "client/analyze/histogram.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace steelyard::analyze {

std::vector<int64_t> Histogram(absl::Span<const double> values,
                               std::size_t bins) {
  std::vector<int64_t> counts(bins, 0);
  const auto last = static_cast<double>(bins - 1);
  for (const double value : values) {
    const double bin = std::floor(value * static_cast<double>(bins));
    ++counts[static_cast<std::size_t>(std::clamp(bin, 0.0, last))];
  }
  return counts;
}

double Quantile(std::vector<double> values, double part) {
  if (values.empty()) return 0.0;
  std::sort(values.begin(), values.end());
  const double place = part * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, values.size() - 1);
  const double share = place - static_cast<double>(below);
  return values[below] + share * (values[above] - values[below]);
}

std::string Sparkline(absl::Span<const int64_t> counts) {
  static constexpr std::array<const char*, 8> kBlocks = {
      "\u2581", "\u2582", "\u2583", "\u2584",
      "\u2585", "\u2586", "\u2587", "\u2588"};
  int64_t most = 0;
  for (const int64_t count : counts) most = std::max(most, count);
  std::string line;
  for (const int64_t count : counts) {
    if (count == 0) {
      line += " ";
      continue;
    }
    const auto eighth = static_cast<std::size_t>((8 * count - 1) / most);
    line += kBlocks[std::min<std::size_t>(eighth, 7)];
  }
  return line;
}

}  // namespace steelyard::analyze
