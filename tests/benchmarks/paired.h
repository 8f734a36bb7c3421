// Two pieces of work timed in turn, A B A B ..., so that a ratio holds while the
// speed of a shared machine drifts.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "benchmark/benchmark.h"

namespace steelyard::benchmarks {

// Median seconds of each, in the order given, over `rounds` turns after one
// warm-up turn.
std::vector<double> MedianSeconds(
    const std::vector<std::function<void()>>& works, int rounds);

// Rows of the table: counters of the benchmark, which the run script prints.
// Units are in the names: "ours_s", "peer_s", "peer_over_ours".
void Report(benchmark::State& state, const std::string& name, double value);

}  // namespace steelyard::benchmarks
