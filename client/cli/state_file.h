// Exported states in files.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace steelyard::cli {

// ERRORS  as InputFile and ReplaceFile.
absl::StatusOr<std::string> ReadState(const std::string& path);
absl::Status WriteState(const std::string& path, const std::string& state);

}  // namespace steelyard::cli
