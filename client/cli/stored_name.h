// A stored matrix that a flag names.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/arguments.h"
#include "client/cli/connect.h"
#include "client/cli/console.h"

namespace steelyard::cli {

// ERRORS  InvalidArgument, naming the flag: its value is no name of a matrix.
absl::Status CheckMatrixName(const Arguments& arguments, const char* flag);

// Asks the server whether `name` holds the bytes that have `checksum`; one line
// to console.err when it does not, or when there is none.
ExitCode CheckChecksum(const std::string& name, const std::string& file,
                       const absl::StatusOr<std::uint32_t>& checksum,
                       const ServerAccess& access, const Console& console);

}  // namespace steelyard::cli
