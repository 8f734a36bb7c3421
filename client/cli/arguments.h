// The command line of one subcommand, parsed and range-checked by its table.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/cli/command_spec.h"

namespace steelyard::cli {

class Arguments {
 public:
  // `words` are what follows the name of the command. Flags may stand anywhere,
  // as --name=value or --name value; "--" ends them.
  //
  // ERRORS  InvalidArgument, one line: an unknown flag (with the nearest known
  //   one), a value that is missing, malformed or out of its range, a flag
  //   given twice, too few or too many arguments.
  static absl::StatusOr<Arguments> Parse(const CommandSpec& command,
                                         absl::Span<const std::string> words);

  const std::string& positional(std::size_t i) const { return positional_[i]; }
  const std::vector<std::string>& positionals() const { return positional_; }

  bool Has(const std::string& flag) const { return values_.count(flag) > 0; }
  std::optional<std::string> Text(const std::string& flag) const;
  std::optional<double> Real(const std::string& flag) const;
  std::optional<int64_t> Integer(const std::string& flag) const;
  std::optional<uint64_t> Unsigned(const std::string& flag) const;
  std::optional<double> Seconds(const std::string& flag) const;

 private:
  const CommandSpec* command_ = nullptr;
  std::vector<std::string> positional_;
  std::map<std::string, std::string> values_;
};

// The entry of `known` that `word` was probably meant to be, or "".
std::string Nearest(const std::string& word,
                    absl::Span<const std::string> known);

}  // namespace steelyard::cli
