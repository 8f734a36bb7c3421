// Flags, environment and file of steelyard-server -> ServerConfig.
//
// Precedence: flags > environment (STEELYARD_QUEUE_LENGTH) > file (--config) >
// default. The file has the form that --print-config writes: `name = value`,
// one a line; # starts a comment.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/config/server_config.h"

namespace steelyard::server {

enum class Action { kServe, kPrintConfig, kPrintHelp, kPrintVersion };

struct CommandLine {
  Action action = Action::kServe;
  ServerConfig config;
};

// The value of an environment variable; nullopt: not set.
using Environment =
    std::function<std::optional<std::string>(const std::string& name)>;

// That of this process.
Environment ProcessEnvironment();

// `arguments` without the program's name.
//
// ERRORS  InvalidArgument: one line that names the setting, where it came from,
//         what was given and what is required.
absl::StatusOr<CommandLine> ReadCommandLine(
    const std::vector<std::string>& arguments, const Environment& environment);

std::string HelpText();

// What a --config file would say to get the same configuration. A 0 that
// stands for a default of the machine is replaced by that default.
std::string PrintedConfig(const ServerConfig& config);

// `config` with every "0: by the machine" replaced by what the machine gives.
ServerConfig Resolved(ServerConfig config);

}  // namespace steelyard::server
