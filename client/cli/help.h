// What the tool says about itself.
#pragma once

#include <ostream>

#include "client/cli/command_spec.h"

namespace steelyard::cli {

void PrintHelp(std::ostream& out);
void PrintHelp(const CommandSpec& command, std::ostream& out);

}  // namespace steelyard::cli
