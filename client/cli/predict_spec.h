// `steelyard predict` as data.
#pragma once

#include "client/cli/command_spec.h"

namespace steelyard::cli {

CommandSpec PredictSpec();

}  // namespace steelyard::cli
