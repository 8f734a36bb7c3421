#include "client/cli/tool.h"

#include <new>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/arguments.h"
#include "client/cli/command_spec.h"
#include "client/cli/commands.h"
#include "client/cli/connect.h"
#include "client/cli/help.h"
#include "client/tensor_files/replaced_file.h"

namespace steelyard::cli {
namespace {

ExitCode UnknownCommand(const std::string& name, const Console& console) {
  std::vector<std::string> known = {"help"};
  for (const CommandSpec& command : Commands()) known.push_back(command.name);
  const std::string nearest = Nearest(name, known);
  return ReportUsage(
      absl::StrCat("unknown command '", name, "'",
                   nearest.empty()
                       ? "; see: steelyard help"
                       : absl::StrCat("; did you mean '", nearest, "'?")),
      console);
}

ExitCode Help(absl::Span<const std::string> topics, const Console& console) {
  if (topics.empty()) {
    PrintHelp(console.out);
    return ExitCode::kOk;
  }
  const CommandSpec* command = FindCommand(topics[0]);
  if (command == nullptr) return UnknownCommand(topics[0], console);
  PrintHelp(*command, console.out);
  return ExitCode::kOk;
}

ExitCode Run(const CommandSpec& command, const Arguments& arguments,
             const Console& console) {
  if (command.name == "universal-set") {
    return RunUniversalSet(arguments, console);
  }
  if (command.name == "heavy") return RunHeavy(arguments, console);
  if (command.name == "stream") return RunStream(arguments, console);
  if (command.name == "attend") return RunAttend(arguments, console);
  if (command.name == "sets") return RunSets(arguments, console);
  if (command.name == "analyze") return RunAnalyze(arguments, console);
  if (command.name == "matrices") return RunMatrices(arguments, console);
  if (command.name == "solve") return RunSolve(arguments, console);
  if (command.name == "predict") return RunPredict(arguments, console);
  if (command.name == "info") return RunInfo(arguments, console);
  return RunHealth(arguments, console);
}

bool AsksForHelp(absl::Span<const std::string> words) {
  for (const std::string& word : words) {
    if (word == "--") return false;
    if (word == "--help" || word == "-h") return true;
  }
  return false;
}

// What cannot be written is told before an answer is computed for it.
absl::Status CheckOutputs(const Arguments& arguments) {
  for (const char* flag : {"output", "html", "checkpoint"}) {
    const auto path = arguments.Text(flag);
    if (!path) continue;
    if (auto good = tensor_files::CheckWritable(*path); !good.ok()) return good;
  }
  return absl::OkStatus();
}

ExitCode Dispatch(absl::Span<const std::string> words, const Console& console) {
  if (words.empty()) {
    PrintHelp(console.err);
    return ExitCode::kUsage;
  }
  const std::string& name = words[0];
  const absl::Span<const std::string> rest = words.subspan(1);
  if (name == "help" || name == "--help" || name == "-h") {
    return Help(rest, console);
  }
  if (name == "--version" || name == "version") {
    console.out << "steelyard " << STEELYARD_VERSION << "\n";
    return ExitCode::kOk;
  }
  const CommandSpec* command = FindCommand(name);
  if (command == nullptr) return UnknownCommand(name, console);
  if (AsksForHelp(rest)) return Help({name}, console);
  const absl::StatusOr<Arguments> arguments = Arguments::Parse(*command, rest);
  if (!arguments.ok()) {
    return ReportUsage(std::string(arguments.status().message()), console);
  }
  if (auto good = CheckOutputs(*arguments); !good.ok()) {
    return ReportError(ExitCode::kFile, std::string(good.message()), console);
  }
  return Run(*command, *arguments, console);
}

}  // namespace

int RunTool(absl::Span<const std::string> words, const Console& console) {
  try {
    const ExitCode code = Dispatch(words, console);
    console.out.flush();
    // A full disk or a closed pipe: the answer did not arrive whole.
    if (!console.out && code == ExitCode::kOk) {
      return static_cast<int>(ReportError(
          ExitCode::kFile, "standard output: cannot write", console));
    }
    return static_cast<int>(code);
  } catch (const std::bad_alloc&) {
    return static_cast<int>(
        ReportError(ExitCode::kFile, "no memory for these inputs", console));
  }
}

}  // namespace steelyard::cli
