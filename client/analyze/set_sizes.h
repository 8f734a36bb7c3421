// How the universal set grows as its threshold falls.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace steelyard::analyze {

struct SetSize {
  double epsilon = 1.0;
  int64_t size = 0;    // |U|: keys whose sensitivity reaches epsilon
  double bound = 0.0;  // total / epsilon, or all keys
};

// For thresholds from 1 down to `least`, `per_decade` of them a decade.
// `total`: what the sensitivities add up to, the rank of the keys or, for those
// on arrival, more.
std::vector<SetSize> SetSizes(absl::Span<const double> sensitivities,
                              double total, double least, int per_decade);

// The keys of the largest sensitivities, ascending; ties to the lower index.
std::vector<int64_t> MostSensitive(absl::Span<const double> sensitivities,
                                   int64_t count);

// The keys whose sensitivity reaches epsilon, ascending.
std::vector<int64_t> KeysAtLeast(absl::Span<const double> sensitivities,
                                 double epsilon);

}  // namespace steelyard::analyze
