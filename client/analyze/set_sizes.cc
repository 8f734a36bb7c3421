#include "client/analyze/set_sizes.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace steelyard::analyze {

std::vector<SetSize> SetSizes(absl::Span<const double> sensitivities,
                              double total, double least, int per_decade) {
  std::vector<double> sorted(sensitivities.begin(), sensitivities.end());
  std::sort(sorted.begin(), sorted.end());
  const int steps = static_cast<int>(
      std::ceil(-std::log10(least) * static_cast<double>(per_decade) - 1e-9));
  std::vector<SetSize> sizes;
  for (int step = 0; step <= steps; ++step) {
    const double epsilon =
        std::max(least, std::pow(10.0, -static_cast<double>(step) /
                                           static_cast<double>(per_decade)));
    const auto first = std::lower_bound(sorted.begin(), sorted.end(), epsilon);
    sizes.push_back({.epsilon = epsilon,
                     .size = static_cast<int64_t>(sorted.end() - first),
                     .bound = std::min(static_cast<double>(sorted.size()),
                                       total / epsilon)});
  }
  return sizes;
}

std::vector<int64_t> MostSensitive(absl::Span<const double> sensitivities,
                                   int64_t count) {
  std::vector<int64_t> order(sensitivities.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return sensitivities[static_cast<std::size_t>(a)] >
           sensitivities[static_cast<std::size_t>(b)];
  });
  order.resize(std::min(order.size(), static_cast<std::size_t>(count)));
  std::sort(order.begin(), order.end());
  return order;
}

std::vector<int64_t> KeysAtLeast(absl::Span<const double> sensitivities,
                                 double epsilon) {
  std::vector<int64_t> keys;
  for (std::size_t key = 0; key < sensitivities.size(); ++key) {
    if (sensitivities[key] >= epsilon) {
      keys.push_back(static_cast<int64_t>(key));
    }
  }
  return keys;
}

}  // namespace steelyard::analyze
