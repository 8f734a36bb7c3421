// Shares of [0, 1], counted in bins.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"

namespace steelyard::analyze {

// counts[b]: how many values lie in [b / bins, (b + 1) / bins); 1 belongs to
// the last bin.
std::vector<int64_t> Histogram(absl::Span<const double> values,
                               std::size_t bins);

// The value below which this part of them lies, by linear interpolation; 0 for
// no values. `part` in [0, 1].
double Quantile(std::vector<double> values, double part);

// One character a bin, by height of the tallest: "▁▁▂▃▅▇█▂▁ ". A bin
// without counts is blank.
std::string Sparkline(absl::Span<const int64_t> counts);

}  // namespace steelyard::analyze
