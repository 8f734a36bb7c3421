#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "client/analyze/histogram.h"
#include "client/analyze/html_page.h"
#include "client/analyze/report.h"
#include "client/analyze/report_json.h"
#include "client/cli/commands.h"
#include "client/cli/connect.h"
#include "client/cli/input_tensors.h"
#include "client/cli/progress_bar.h"
#include "client/cli/text_table.h"
#include "client/tensor_files/replaced_file.h"

namespace steelyard::cli {
namespace {

// One pair of tensors, as named on the command line.
struct LayerInput {
  std::string name;
  std::string keys;
  std::string queries;
};

absl::StatusOr<std::vector<LayerInput>> LayersOf(const Arguments& arguments) {
  const std::string& keys = arguments.positional(0);
  const std::string& queries = arguments.positional(1);
  const auto names = arguments.Text("layers");
  const bool pattern = absl::StrContains(keys, "{}");
  if (pattern != absl::StrContains(queries, "{}")) {
    return absl::InvalidArgumentError(
        "{} must stand in KEYS and in QUERIES, or in neither");
  }
  if (pattern != names.has_value()) {
    return absl::InvalidArgumentError(
        pattern ? "{} in KEYS needs --layers=A,B,..."
                : "--layers needs {} in KEYS and QUERIES");
  }
  if (!pattern) return std::vector<LayerInput>{{keys, keys, queries}};
  std::vector<LayerInput> layers;
  for (const std::string& name :
       std::vector<std::string>(absl::StrSplit(*names, ','))) {
    if (name.empty()) {
      return absl::InvalidArgumentError("--layers: an empty name");
    }
    layers.push_back({absl::StrCat("layer ", name),
                      absl::StrReplaceAll(keys, {{"{}", name}}),
                      absl::StrReplaceAll(queries, {{"{}", name}})});
  }
  return layers;
}

absl::StatusOr<analyze::Neighbourhood> NeighbourhoodOf(
    const Arguments& arguments) {
  const auto text = arguments.Text("grid");
  if (!text) {
    for (const char* flag : {"radius", "grid-first"}) {
      if (arguments.Has(flag)) {
        return absl::InvalidArgumentError(
            absl::StrCat("--", flag, " needs --grid=HxW"));
      }
    }
    return analyze::Window{arguments.Integer("window").value_or(12)};
  }
  if (arguments.Has("window")) {
    return absl::InvalidArgumentError("--window and --grid exclude each other");
  }
  constexpr int64_t kSideMax = 1'000'000;
  analyze::PatchGrid grid{.first = arguments.Integer("grid-first").value_or(0),
                          .radius = arguments.Integer("radius").value_or(3)};
  const std::vector<std::string> sides = absl::StrSplit(*text, 'x');
  if (sides.size() != 2 || !absl::SimpleAtoi(sides[0], &grid.height) ||
      !absl::SimpleAtoi(sides[1], &grid.width) || grid.height < 1 ||
      grid.width < 1 || grid.height > kSideMax || grid.width > kSideMax) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--grid=", *text, " must be HxW, both in [1, 1000000], as 14x14"));
  }
  return grid;
}

absl::StatusOr<analyze::Settings> SettingsOf(const Arguments& arguments) {
  auto near = NeighbourhoodOf(arguments);
  if (!near.ok()) return near.status();
  if (arguments.Has("power") && arguments.Has("scale")) {
    return absl::InvalidArgumentError("--scale is of softmax, not of --power");
  }
  if (arguments.Has("epsilon") && arguments.Has("important")) {
    return absl::InvalidArgumentError(
        "--epsilon and --important exclude each other");
  }
  analyze::Settings settings;
  settings.mass.near = *std::move(near);
  settings.mass.power = arguments.Real("power");
  settings.mass.causal = arguments.Has("causal");
  settings.mass.top = arguments.Integer("top").value_or(32);
  settings.mass.queries_max = arguments.Integer("queries-max").value_or(2048);
  settings.scale_is_default = !arguments.Has("scale");
  settings.mass.scale = arguments.Real("scale").value_or(1.0);
  settings.epsilon = arguments.Real("epsilon");
  settings.important = arguments.Integer("important").value_or(32);
  return settings;
}

void PrintLayer(const analyze::LayerReport& layer, std::ostream& out) {
  constexpr std::size_t kBins = 10;
  out << "\n" << layer.name << "\n";
  TextTable table({"head", "n", "rank", "|U| .1", "|U| .01", "top", "nearby",
                   "important", "both", "keys", "mass of both, 0 to 1"});
  for (const analyze::HeadReport& head : layer.heads) {
    const analyze::Masses& masses = head.masses;
    const auto median = [](const std::vector<double>& values) {
      return Brief(analyze::Quantile(values, 0.5));
    };
    const auto size = [&](double epsilon) {
      return absl::StrCat(
          analyze::KeysAtLeast(head.sensitivities, epsilon).size());
    };
    table.AddRow({absl::StrCat(head.head), absl::StrCat(head.keys),
                  absl::StrCat(head.rank), size(0.1), size(0.01),
                  median(masses.top), median(masses.near),
                  median(masses.important), median(masses.important_and_near),
                  Brief(masses.keys_kept),
                  absl::StrCat("|",
                               analyze::Sparkline(analyze::Histogram(
                                   masses.important_and_near, kBins)),
                               "|")});
  }
  table.Print(out);
}

void PrintText(const analyze::Report& report, std::ostream& out) {
  const analyze::Settings& settings = report.settings;
  out << "Attention mass, medians over queries; f = "
      << analyze::FunctionText(settings, report.layers[0].scale)
      << (settings.mass.causal ? ", causal" : "") << ".\n  top: the "
      << settings.mass.top << " keys of largest score.  nearby: keys "
      << analyze::DescriptionOf(settings.mass.near)
      << ".\n  important: " << analyze::ImportantText(settings)
      << ".  both: important and nearby, how many\n  under 'keys'.\n";
  for (const analyze::LayerReport& layer : report.layers) {
    PrintLayer(layer, out);
  }
}

// The leverage of every key; causal: among the keys up to it.
client::UniversalSetOptions EveryKey(const tensor_files::StoredTensor& keys,
                                     bool causal) {
  client::UniversalSetOptions options;
  options.top_m = keys.shape()[keys.shape().size() - 2];
  options.causal = causal;
  return options;
}

// Fills `report->layers`, or reports one line.
ExitCode AnalyzeLayers(const std::vector<LayerInput>& layers,
                       const ServerAccess& access, const Console& console,
                       analyze::Report* report) {
  ProgressBar bar(console.err, console.err_is_terminal);
  for (const LayerInput& layer : layers) {
    bar.Show({.phase = layer.name,
              .fraction = static_cast<double>(report->layers.size()) /
                          static_cast<double>(layers.size())});
    const InputTensors inputs =
        LoadInputs({layer.keys, layer.queries}, access, console);
    if (inputs.code != ExitCode::kOk) return inputs.code;
    const tensor_files::StoredTensor& keys = inputs.tensors[0];
    const tensor_files::StoredTensor& queries = inputs.tensors[1];
    if (const absl::Status shapes = analyze::CheckShapes(
            keys.info(), queries.info(), report->settings.mass.causal);
        !shapes.ok()) {
      return ReportUsage(absl::StrCat(layer.name, ": ", shapes.message()),
                         console);
    }
    const auto sets = access.client.FindUniversalSet(
        ViewOf(keys), EveryKey(keys, report->settings.mass.causal),
        access.call);
    if (!sets.ok()) {
      return ReportCallError(sets.status(), access.address, console);
    }
    auto analyzed =
        analyze::AnalyzeLayer(keys, queries, sets->heads, report->settings);
    if (!analyzed.ok()) {
      const bool ours = analyzed.status().code() == absl::StatusCode::kInternal;
      return ReportError(
          ours ? ExitCode::kInternal : ExitCode::kFile,
          absl::StrCat(layer.name, ": ", analyzed.status().message()), console);
    }
    analyzed->name = layer.name;
    analyzed->keys = layer.keys;
    analyzed->queries = layer.queries;
    report->layers.push_back(*std::move(analyzed));
  }
  return ExitCode::kOk;
}

}  // namespace

ExitCode RunAnalyze(const Arguments& arguments, const Console& console) {
  const auto access = Connect(arguments, console);
  if (!access.ok()) return ReportBadArguments(access.status(), console);
  const auto layers = LayersOf(arguments);
  if (!layers.ok()) {
    return ReportUsage(std::string(layers.status().message()), console);
  }
  auto settings = SettingsOf(arguments);
  if (!settings.ok()) {
    return ReportUsage(std::string(settings.status().message()), console);
  }
  analyze::Report report{.version = STEELYARD_VERSION,
                         .settings = *std::move(settings)};
  const ExitCode code = AnalyzeLayers(*layers, *access, console, &report);
  if (code != ExitCode::kOk) return code;
  if (const auto path = arguments.Text("html")) {
    const std::string page = analyze::HtmlPage(report);
    const absl::Span<const char> parts[] = {absl::MakeSpan(page)};
    if (auto written = tensor_files::ReplaceFile(*path, parts); !written.ok()) {
      return ReportError(ExitCode::kFile, std::string(written.message()),
                         console);
    }
  }
  if (arguments.Has("json")) {
    console.out << analyze::ToJson(report).dump(2) << "\n";
    return ExitCode::kOk;
  }
  PrintText(report, console.out);
  if (const auto path = arguments.Text("html")) {
    console.out << "\nPlots: " << *path << "\n";
  }
  return ExitCode::kOk;
}

}  // namespace steelyard::cli
