#include "server/config/command_line.h"

#include <cstdlib>
#include <fstream>
#include <map>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "server/config/cpu_quota.h"
#include "server/config/options.h"

namespace steelyard::server {
namespace {

constexpr int kHelpColumns = 78;

// More than every setting with a long comment.
constexpr std::size_t kFileBytesMost = std::size_t{1} << 16;

// A text for a setting, and where it came from ("--workers",
// "steelyard.conf:3").
struct Setting {
  std::string text;
  std::string origin;
};

// By the name of the option.
using Settings = std::map<std::string, Setting>;

const Option* FindOption(const std::string& name) {
  for (const Option& option : Options()) {
    if (option.name == name) return &option;
  }
  return nullptr;
}

absl::Status Wrong(const std::string& message) {
  return absl::InvalidArgumentError(message);
}

// Text from outside, fit for a message of one line.
std::string Printable(const std::string& text) {
  constexpr std::size_t kShownMost = 80;
  if (text.size() <= kShownMost) return absl::Utf8SafeCHexEscape(text);
  return absl::Utf8SafeCHexEscape(text.substr(0, kShownMost)) + "...";
}

struct Flags {
  Action action = Action::kServe;
  std::optional<std::string> config_file;
  Settings settings;
};

// Takes `--name=value` or `--name value`; moves `*next` past what it took.
absl::Status ReadFlag(const std::vector<std::string>& arguments,
                      std::size_t* next, Flags* flags) {
  absl::string_view argument = arguments[*next];
  ++*next;
  if (!absl::ConsumePrefix(&argument, "--")) {
    return Wrong(
        absl::StrCat("unexpected argument '", argument, "' (see --help)"));
  }
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(argument, absl::MaxSplits('=', 1));
  const std::string& name = parts.first;
  const bool has_value = argument.find('=') != absl::string_view::npos;
  const std::pair<const char*, Action> actions[] = {
      {"help", Action::kPrintHelp},
      {"version", Action::kPrintVersion},
      {"print-config", Action::kPrintConfig}};
  for (const auto& [action_name, action] : actions) {
    if (name != action_name) continue;
    if (has_value) return Wrong(absl::StrCat("--", name, " takes no value"));
    flags->action = action;
    return absl::OkStatus();
  }
  if (name != "config" && FindOption(name) == nullptr) {
    return Wrong(absl::StrCat("unknown flag --", name, " (see --help)"));
  }
  std::string value = parts.second;
  if (!has_value) {
    if (*next == arguments.size()) {
      return Wrong(absl::StrCat("--", name, " needs a value"));
    }
    value = arguments[(*next)++];
  }
  if (name == "config") {
    flags->config_file = std::move(value);
  } else {
    flags->settings[name] = {std::move(value), absl::StrCat("--", name)};
  }
  return absl::OkStatus();
}

// The whole text. A pipe will do; a folder opens like a file, but has no text
// to read.
absl::StatusOr<std::string> TextOfFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kFileBytesMost + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file.eof() && file.gcount() == 0) {
    return Wrong(absl::StrCat("--config is ", path, "; cannot read it"));
  }
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > kFileBytesMost) {
    return Wrong(absl::StrCat("--config is ", path, "; it must have at most ",
                              kFileBytesMost, " bytes"));
  }
  return text;
}

absl::Status ReadFile(const std::string& path, Settings* settings) {
  const absl::StatusOr<std::string> whole = TextOfFile(path);
  if (!whole.ok()) return whole.status();
  int number = 0;
  for (const absl::string_view line : absl::StrSplit(*whole, '\n')) {
    const std::string origin = absl::StrCat(path, ":", ++number);
    const std::string text(
        absl::StripAsciiWhitespace(line.substr(0, line.find('#'))));
    if (text.empty()) continue;
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos) {
      return Wrong(absl::StrCat(origin, ": '", Printable(text),
                                "' must be `name = value`"));
    }
    const std::string name(absl::StripAsciiWhitespace(text.substr(0, equals)));
    const std::string value(
        absl::StripAsciiWhitespace(text.substr(equals + 1)));
    if (FindOption(name) == nullptr) {
      return Wrong(
          absl::StrCat(origin, ": unknown setting '", Printable(name), "'"));
    }
    if (!settings->emplace(name, Setting{value, origin}).second) {
      return Wrong(absl::StrCat(origin, ": '", name, "' is set twice"));
    }
  }
  return absl::OkStatus();
}

// Where each setting's text comes from, the weightier source last.
absl::StatusOr<Settings> Gather(const Flags& flags,
                                const Environment& environment) {
  Settings settings;
  std::optional<std::string> file = flags.config_file;
  if (!file.has_value()) file = environment("STEELYARD_CONFIG");
  if (file.has_value() && !file->empty()) {
    const absl::Status read = ReadFile(*file, &settings);
    if (!read.ok()) return read;
  }
  for (const Option& option : Options()) {
    const std::string variable = EnvironmentName(option);
    if (std::optional<std::string> text = environment(variable)) {
      settings[option.name] = {std::move(*text), variable};
    }
  }
  for (const auto& [name, setting] : flags.settings) settings[name] = setting;
  return settings;
}

// Breaks `text` into lines of `indent` spaces and words.
std::string Wrapped(const std::string& text, int indent) {
  const std::string margin(static_cast<std::size_t>(indent), ' ');
  std::string result;
  std::string line = margin;
  for (const absl::string_view word : absl::StrSplit(text, ' ')) {
    const bool first = line.size() == margin.size();
    if (!first && line.size() + 1 + word.size() > kHelpColumns) {
      absl::StrAppend(&result, line, "\n");
      line = margin;
    }
    absl::StrAppend(&line, line.size() == margin.size() ? "" : " ", word);
  }
  return absl::StrCat(result, line, "\n");
}

}  // namespace

Environment ProcessEnvironment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  };
}

absl::StatusOr<CommandLine> ReadCommandLine(
    const std::vector<std::string>& arguments, const Environment& environment) {
  Flags flags;
  for (std::size_t next = 0; next < arguments.size();) {
    const absl::Status read = ReadFlag(arguments, &next, &flags);
    if (!read.ok()) return read;
  }
  CommandLine line;
  line.action = flags.action;
  if (line.action == Action::kPrintHelp ||
      line.action == Action::kPrintVersion) {
    return line;
  }
  const absl::StatusOr<Settings> settings = Gather(flags, environment);
  if (!settings.ok()) return settings.status();
  for (const auto& [name, setting] : *settings) {
    const absl::Status read =
        FindOption(name)->read(setting.text, &line.config);
    if (read.ok()) continue;
    const bool names_itself = setting.origin == "--" + name;
    return Wrong(absl::StrCat(
        setting.origin, names_itself ? "" : " (" + name + ")", " is '",
        Printable(setting.text), "'; it ", read.message()));
  }
  return line;
}

std::string HelpText() {
  std::string text =
      "usage: steelyard-server [--NAME=VALUE ...]\n\n"
      "Universal sets of attention keys and regressions against attention\n"
      "proxies, over gRPC (services of steelyard.v1, grpc.health.v1, server\n"
      "reflection). SIGTERM or SIGINT drains and ends with exit code 0; a\n"
      "second one hurries.\n\n"
      "Each setting is taken from its flag, else from the environment "
      "variable\n"
      "named with it, else from the file, else it has the default.\n\n";
  const ServerConfig defaults;
  for (const Option& option : Options()) {
    const std::string value = option.write(defaults);
    absl::StrAppend(&text, "  --", option.name, "  [", EnvironmentName(option),
                    "]\n", Wrapped(option.help, 6),
                    Wrapped("Range: " + option.range + ". Default: " +
                                (value.empty() ? "none" : value) + ".",
                            6));
  }
  absl::StrAppend(
      &text, "  --config  [STEELYARD_CONFIG]\n",
      Wrapped("A file of settings, `name = value` one a line, # starts a "
              "comment; --print-config writes one.",
              6),
      "  --print-config\n",
      Wrapped("Print the configuration that all sources give, and exit.", 6),
      "  --version\n", Wrapped("Print the version and exit.", 6), "  --help\n",
      Wrapped("Print this text and exit.", 6), "\n",
      "After a cancel or a deadline a call ends at once and its work within\n"
      "100 ms, but for one case: the SVD of a d x d factor with d > 512 may\n"
      "finish. Nobody waits for it, and its memory stays reserved until "
      "then.\n");
  return text;
}

ServerConfig Resolved(ServerConfig config) {
  if (config.workers == 0) config.workers = DefaultWorkers();
  if (config.memory_budget == 0) config.memory_budget = DefaultMemoryBudget();
  if (config.set_memory == 0) config.set_memory = DefaultSetMemory();
  if (config.matrix_memory == 0) config.matrix_memory = DefaultMatrixMemory();
  return config;
}

std::string PrintedConfig(const ServerConfig& config) {
  const ServerConfig resolved = Resolved(config);
  std::string text;
  for (const Option& option : Options()) {
    absl::StrAppend(&text, option.name, " = ", option.write(resolved), "\n");
  }
  return text;
}

}  // namespace steelyard::server
