// The settings by name: how each is read, checked, printed and explained.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/config/server_config.h"

namespace steelyard::server {

struct Option {
  std::string name;   // "queue-length": the flag without its dashes
  std::string range;  // with the unit: "0 to 4096 requests"
  std::string help;

  // INVALID_ARGUMENT with the rule ("must be 0 to 4096 requests"); who calls
  // adds the name, the text and where it came from.
  std::function<absl::Status(const std::string& text, ServerConfig*)> read;
  // In the form that `read` takes.
  std::function<std::string(const ServerConfig&)> write;
};

// In the order of --help.
const std::vector<Option>& Options();

// "queue-length" -> "STEELYARD_QUEUE_LENGTH".
std::string EnvironmentName(const Option& option);

}  // namespace steelyard::server
