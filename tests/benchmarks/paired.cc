#include "tests/benchmarks/paired.h"

#include <algorithm>
#include <chrono>

namespace steelyard::benchmarks {

std::vector<double> MedianSeconds(
    const std::vector<std::function<void()>>& works, int rounds) {
  std::vector<std::vector<double>> seconds(works.size());
  for (int round = -1; round < rounds; ++round) {
    for (std::size_t w = 0; w < works.size(); ++w) {
      const auto start = std::chrono::steady_clock::now();
      works[w]();
      const std::chrono::duration<double> took =
          std::chrono::steady_clock::now() - start;
      if (round >= 0) seconds[w].push_back(took.count());
    }
  }
  std::vector<double> medians;
  for (std::vector<double>& times : seconds) {
    std::nth_element(times.begin(), times.begin() + rounds / 2, times.end());
    medians.push_back(times[static_cast<std::size_t>(rounds / 2)]);
  }
  return medians;
}

void Report(benchmark::State& state, const std::string& name, double value) {
  state.counters[name] = value;
}

}  // namespace steelyard::benchmarks
