// Flags that several commands have.
#pragma once

#include <vector>

#include "client/cli/command_spec.h"

namespace steelyard::cli {

// Flags that every command has.
std::vector<FlagSpec> CommonFlags();

// --output=FILE; `help` says what is written.
FlagSpec Output(const char* help);

// --show=N; `what` is printed so many times.
FlagSpec Show(const char* what);

// A command's own flags, then the common ones.
std::vector<FlagSpec> Joined(std::vector<FlagSpec> own);

}  // namespace steelyard::cli
