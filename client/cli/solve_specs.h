// The commands that solve and that store matrices, as data.
#pragma once

#include "client/cli/command_spec.h"

namespace steelyard::cli {

CommandSpec SolveSpec();
CommandSpec MatricesSpec();

}  // namespace steelyard::cli
