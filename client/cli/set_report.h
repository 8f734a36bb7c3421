// Universal sets, for people, for programs and for files.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "steelyard/client/universal_set.h"

namespace steelyard::cli {

nlohmann::ordered_json SetJson(const client::UniversalSet& set,
                               int64_t columns);

// A line a head; of one head also its `show` most sensitive members.
void PrintSets(const client::UniversalSets& sets, int64_t columns, int64_t show,
               std::ostream& out);

// One head in a .npy file: its indices alone; any number in .safetensors.
absl::Status WriteSets(const std::string& path,
                       const client::UniversalSets& sets);

}  // namespace steelyard::cli
