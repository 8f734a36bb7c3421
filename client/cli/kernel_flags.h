// Flags of the attention kernel, of commands that solve with it and that
// predict from it.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "client/cli/arguments.h"
#include "client/cli/command_spec.h"
#include "steelyard/client/regression.h"

namespace steelyard::cli {

// --scale, --normalization.
std::vector<FlagSpec> KernelFlags();
client::KernelNormalization NormalizationOf(const Arguments& arguments);

// --row-ridge, --preconditioner, --preconditioner-rank.
std::vector<FlagSpec> KernelSolverFlags();

// Of both, all but the numbers of --row-ridge.
client::AttentionKernel KernelOf(const Arguments& arguments);

// ERRORS  InvalidArgument: a rank without a preconditioner that has one, a
//   preconditioner with --method=cholesky.
absl::Status CheckKernelFlags(const Arguments& arguments);

// "rpcholesky", as --preconditioner takes it.
const char* FlagNameOf(client::Preconditioner preconditioner);

}  // namespace steelyard::cli
