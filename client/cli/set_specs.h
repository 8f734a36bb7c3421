// `steelyard stream`, `attend` and `sets`.
#pragma once

#include "client/cli/command_spec.h"

namespace steelyard::cli {

CommandSpec StreamSpec();
CommandSpec AttendSpec();
CommandSpec SetsSpec();

}  // namespace steelyard::cli
