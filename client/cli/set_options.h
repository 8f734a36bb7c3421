// Flags that commands about universal sets share: the score function, lists of
// numbers, how long a set is kept.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/arguments.h"
#include "client/cli/command_spec.h"
#include "steelyard/client/score_function.h"
#include "steelyard/client/universal_set.h"

namespace steelyard::cli {

// --power, --power-sum, --softmax, --softmax-scale.
std::vector<FlagSpec> ScoreFunctionFlags(bool with_softmax);
// nullopt: none of them is given.
// ERRORS  InvalidArgument, naming the flag: two of them; terms that are no
//   C:P,C:P with C > 0 and P in [1, 64].
absl::StatusOr<std::optional<client::ScoreFunction>> ScoreFunctionOf(
    const Arguments& arguments);

// --keep, --ttl.
std::vector<FlagSpec> KeepFlags(const std::string& keep_help);
// ERRORS  InvalidArgument: a name that is none; --ttl without --keep.
absl::StatusOr<client::Keeping> KeepingOf(const Arguments& arguments);

FlagSpec LengthsFlag();
// The integers of --FLAG=N,N,...; empty where it is not given.
// ERRORS  InvalidArgument, naming the flag.
absl::StatusOr<std::vector<int64_t>> IntegersOf(const Arguments& arguments,
                                                const std::string& flag);

// [a-z][a-z0-9-]{0,62}, also after "universalSets/".
bool IsSetName(const std::string& text);

// "|x|^2", "0.5|x|^1 + 2|x|^4", "exp(0.125 x), certified".
std::string FunctionText(const std::optional<client::ScoreFunction>& function);

// The lists joined.
std::vector<FlagSpec> Concatenated(std::vector<std::vector<FlagSpec>> lists);

}  // namespace steelyard::cli
