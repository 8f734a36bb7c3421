// The report for programs.
#pragma once

#include <nlohmann/json.hpp>

#include "client/analyze/report.h"

namespace steelyard::analyze {

// Bins of the histograms of masses over [0, 1].
inline constexpr std::size_t kMassBins = 20;

nlohmann::ordered_json ToJson(const Report& report);

}  // namespace steelyard::analyze
