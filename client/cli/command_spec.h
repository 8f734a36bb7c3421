// A subcommand as data: what the parser accepts and what the help prints come
// from the same table.
#pragma once

#include <limits>
#include <string>
#include <vector>

namespace steelyard::cli {

enum class FlagKind {
  kSwitch,
  kText,
  kReal,
  kInteger,   // int64_t
  kUnsigned,  // uint64_t, all of it; no range beside
  kDuration,
  kChoice
};

struct FlagSpec {
  std::string name;  // Without the dashes.
  FlagKind kind = FlagKind::kSwitch;
  std::string value;  // How the help calls the value: "X", "FILE", "30s".
  std::string help;   // Meaning, unit, range and default, in lines of 58.

  // Numbers: least <= value <= most, with < where that end is open.
  double least = -std::numeric_limits<double>::infinity();
  double most = std::numeric_limits<double>::infinity();
  bool least_is_open = false;
  bool most_is_open = false;

  std::vector<std::string> choices = {};  // kChoice.
};

struct CommandSpec {
  std::string name;
  std::string arguments;  // "KEYS QUERIES", as the usage line shows them.
  std::size_t argument_count = 0;
  std::size_t argument_count_most = 0;  // Above argument_count: some may be
                                        // left out, or more may follow.
  std::string summary;  // One line.
  std::string text;     // What it does; paragraphs.
  std::vector<FlagSpec> flags;
  std::string examples;
};

// All of them, in the order of the help.
const std::vector<CommandSpec>& Commands();

// nullptr: no such command.
const CommandSpec* FindCommand(const std::string& name);

}  // namespace steelyard::cli
