// The subcommands. Each prints its answer or one line of error.
#pragma once

#include "client/cli/arguments.h"
#include "client/cli/console.h"

namespace steelyard::cli {

ExitCode RunUniversalSet(const Arguments& arguments, const Console& console);
ExitCode RunHeavy(const Arguments& arguments, const Console& console);
ExitCode RunStream(const Arguments& arguments, const Console& console);
ExitCode RunAttend(const Arguments& arguments, const Console& console);
ExitCode RunSets(const Arguments& arguments, const Console& console);
ExitCode RunAnalyze(const Arguments& arguments, const Console& console);
ExitCode RunMatrices(const Arguments& arguments, const Console& console);
ExitCode RunSolve(const Arguments& arguments, const Console& console);
ExitCode RunPredict(const Arguments& arguments, const Console& console);
ExitCode RunInfo(const Arguments& arguments, const Console& console);
ExitCode RunHealth(const Arguments& arguments, const Console& console);

}  // namespace steelyard::cli
