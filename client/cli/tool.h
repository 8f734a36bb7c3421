// The `steelyard` command-line tool, without its main.
#pragma once

#include <string>

#include "absl/types/span.h"
#include "client/cli/console.h"

namespace steelyard::cli {

// `words` are the command line without the name of the program. The exit code
// is that of ExitCode.
int RunTool(absl::Span<const std::string> words, const Console& console);

}  // namespace steelyard::cli
