#pragma once

#include "client/cli/command_spec.h"

namespace steelyard::cli {

// `steelyard analyze`.
CommandSpec AnalyzeSpec();

}  // namespace steelyard::cli
