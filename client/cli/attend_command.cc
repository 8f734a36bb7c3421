#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "client/cli/commands.h"
#include "client/cli/connect.h"
#include "client/cli/input_tensors.h"
#include "client/cli/set_options.h"
#include "client/cli/stopwatch.h"
#include "client/cli/text_table.h"
#include "client/cli/verdict_report.h"
#include "client/tensor_files/tensor_output.h"
#include "client/verify/attend_check.h"

namespace steelyard::cli {
namespace {

using tensor_files::NamedArray;
using tensor_files::StoredTensor;

struct Verification {
  std::vector<verify::AttendCheck> heads;  // Of the queries.
  verify::Verdict all;
  double seconds = 0.0;
};

absl::StatusOr<client::LocalKeys> LocalOf(const Arguments& arguments) {
  const auto window = arguments.Integer("window");
  const auto text = arguments.Text("grid");
  for (const char* flag : {"radius", "grid-first"}) {
    if (!text && arguments.Has(flag)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--", flag, " goes with --grid"));
    }
  }
  if (window && text) {
    return absl::InvalidArgumentError(
        "only one of --window and --grid can be given");
  }
  if (window) return client::Window{*window};
  if (!text) return client::NoLocalKeys{};
  client::Grid grid;
  const std::vector<std::string> sides = absl::StrSplit(*text, 'x');
  if (sides.size() != 2 || !absl::SimpleAtoi(sides[0], &grid.height) ||
      !absl::SimpleAtoi(sides[1], &grid.width) || grid.height < 1 ||
      grid.width < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--grid is '", *text, "'; required is HEIGHTxWIDTH, as 14x14"));
  }
  grid.radius = arguments.Integer("radius").value_or(3);
  grid.first = arguments.Integer("grid-first").value_or(0);
  return grid;
}

absl::StatusOr<client::AttendOptions> OptionsOf(const Arguments& arguments) {
  client::AttendOptions options;
  auto function = ScoreFunctionOf(arguments);
  auto local = LocalOf(arguments);
  auto positions = IntegersOf(arguments, "positions");
  auto lengths = IntegersOf(arguments, "lengths");
  for (const absl::Status& status : {function.status(), local.status(),
                                     positions.status(), lengths.status()}) {
    if (!status.ok()) return status;
  }
  options.function = *std::move(function);
  options.local = *std::move(local);
  options.positions = *std::move(positions);
  options.lengths = *std::move(lengths);
  options.epsilon = arguments.Real("epsilon");
  options.top_m = arguments.Integer("top-m");
  options.sinks = arguments.Integer("sinks").value_or(0);
  options.causal = arguments.Has("causal");
  if (arguments.Text("normalization").value_or("attended") == "all") {
    options.normalization = client::AttentionNormalization::kAll;
  }
  options.output_type = client::ScalarType::kFloat64;
  // Attend would take the heuristic's set, whatever it is asked for.
  if (arguments.Text("softmax").value_or("") == "certified" &&
      (options.epsilon || options.top_m)) {
    return absl::InvalidArgumentError(
        "--softmax=certified: no set of keys holds every large softmax score; "
        "--softmax=heuristic says so, 'heavy --softmax=certified' finds all");
  }
  const bool has_set = arguments.Has("set");
  if (has_set && (options.epsilon || options.top_m)) {
    return absl::InvalidArgumentError(
        "--set is a set; --epsilon and --top-m do not go with it");
  }
  if (has_set && arguments.Has("verify")) {
    return absl::InvalidArgumentError("--verify does not go with --set");
  }
  return options;
}

// The set is asked for again: the answer does not tell it.
absl::StatusOr<Verification> Verify(const ServerAccess& access,
                                    const InputTensors& inputs,
                                    const client::AttendOptions& options,
                                    const client::Attention& attention) {
  const Stopwatch stopwatch;
  const client::ScoreFunction function =
      options.function.value_or(client::Power{});
  const bool softmax = std::holds_alternative<client::Softmax>(function);
  std::vector<client::UniversalSet> sets;
  if (options.epsilon || options.top_m) {
    const auto found =
        access.client.FindUniversalSet(ViewOf(inputs.tensors[0]),
                                       {.epsilon = options.epsilon,
                                        .top_m = options.top_m,
                                        .function = function,
                                        .causal = options.causal && !softmax,
                                        .lengths = options.lengths},
                                       access.call);
    if (!found.ok()) return found.status();
    sets = found->heads;
  }
  Verification result;
  const auto keys = verify::HeadsOf(inputs.tensors[0]);
  const auto values = verify::HeadsOf(inputs.tensors[1]);
  const auto queries = verify::HeadsOf(inputs.tensors[2]);
  const int64_t m = queries[0].rows();
  const bool complete =
      attention.output.rows() == m * static_cast<int64_t>(queries.size());
  result.all.Add("one row a query", complete,
                 absl::StrCat(attention.output.rows()));
  for (std::size_t g = 0; complete && g < queries.size(); ++g) {
    const std::size_t h = g * keys.size() / queries.size();
    const int64_t n =
        h < options.lengths.size() ? options.lengths[h] : keys[h].rows();
    const auto begin =
        attention.attended.begin() + static_cast<std::ptrdiff_t>(g) * m;
    result.heads.push_back(verify::CheckAttention(
        keys[h].First(n), values[h].First(n), queries[g], options, function,
        h < sets.size() ? sets[h].indices : std::vector<int64_t>(),
        attention.output.middleRows(static_cast<Eigen::Index>(g) * m, m),
        {begin, begin + m}));
    result.all.Append(result.heads.back().verdict);
  }
  result.seconds = stopwatch.seconds();
  return result;
}

void PrintJson(const client::Attention& attention, double seconds,
               const std::optional<Verification>& verification,
               std::ostream& out) {
  nlohmann::ordered_json json = {
      {"rows", attention.output.rows()},
      {"columns", attention.output.cols()},
      {"attended", attention.attended},
      {"captured_mass", attention.captured_mass},
      {"compute_seconds", attention.compute_time.count()},
      {"call_seconds", seconds}};
  if (verification) {
    auto heads = nlohmann::ordered_json::array();
    for (std::size_t g = 0; g < verification->heads.size(); ++g) {
      const verify::AttendCheck& check = verification->heads[g];
      heads.push_back({{"head", g},
                       {"held", check.verdict.held()},
                       {"largest_error", check.largest_error},
                       {"full_attention_error", check.full_attention_error},
                       {"rules", RulesJson(check.verdict)}});
    }
    json["verification"] = {{"held", verification->all.held()},
                            {"seconds", verification->seconds},
                            {"heads", heads}};
  }
  out << json.dump(2) << "\n";
}

void PrintText(const client::Attention& attention, double seconds,
               const std::optional<Verification>& verification,
               std::ostream& out) {
  double attended = 0.0;
  for (const int64_t keys : attention.attended) {
    attended += static_cast<double>(keys);
  }
  const auto rows = static_cast<double>(attention.output.rows());
  out << absl::StrFormat("%d x %d output; %.1f keys attended a query",
                         attention.output.rows(), attention.output.cols(),
                         attended / rows);
  if (!attention.captured_mass.empty()) {
    double mass = 0.0;
    for (const double share : attention.captured_mass) mass += share;
    out << absl::StrFormat(", %.4g of the mass", mass / rows);
  }
  out << "; answered in " << BriefSeconds(seconds) << ", of which "
      << BriefSeconds(attention.compute_time.count()) << " compute.\n";
  if (!verification) return;
  out << "\n";
  const bool several = verification->heads.size() > 1;
  for (std::size_t g = 0; g < verification->heads.size(); ++g) {
    PrintRules(verification->heads[g].verdict, several,
               several ? absl::StrCat("head ", g, "  ") : "", out);
  }
  PrintOutcome(verification->all, verification->seconds, out);
}

// In the shape of the queries, with the columns of the values.
absl::Status WriteOutput(const std::string& path, const StoredTensor& queries,
                         const client::Attention& attention) {
  std::vector<int64_t> shape = queries.shape();
  shape.back() = attention.output.cols();
  const double* data = attention.output.data();
  return tensor_files::WriteArrays(
      path,
      {NamedArray::Doubles("output", {data, data + attention.output.size()},
                           std::move(shape))},
      {{"content", "steelyard attend"}});
}

}  // namespace

ExitCode RunAttend(const Arguments& arguments, const Console& console) {
  const auto options = OptionsOf(arguments);
  const auto access = Connect(arguments, console);
  for (const absl::Status& status : {options.status(), access.status()}) {
    if (!status.ok()) return ReportBadArguments(status, console);
  }
  const auto output = arguments.Text("output");
  if (output) {
    if (auto good = tensor_files::CheckOutputPath(*output, 1); !good.ok()) {
      return ReportUsage(std::string(good.message()), console);
    }
  }
  const InputTensors inputs =
      LoadInputs(arguments.positionals(), *access, console);
  if (inputs.code != ExitCode::kOk) return inputs.code;

  const client::AttendInputs what{
      .keys = ViewOf(inputs.tensors[0]),
      .values = ViewOf(inputs.tensors[1]),
      .queries = ViewOf(inputs.tensors[2]),
      .universal_set = arguments.Text("set").value_or("")};
  const Stopwatch stopwatch;
  const auto attention =
      arguments.Has("stream")
          ? access->client.StreamAttend(what, *options, access->call)
          : access->client.Attend(what, *options, access->call);
  if (!attention.ok()) {
    return ReportCallError(attention.status(), access->address, console);
  }
  const double seconds = stopwatch.seconds();
  std::optional<Verification> verification;
  if (arguments.Has("verify")) {
    auto verified = Verify(*access, inputs, *options, *attention);
    if (!verified.ok()) {
      return ReportCallError(verified.status(), access->address, console);
    }
    verification = *std::move(verified);
  }
  (arguments.Has("json") ? PrintJson : PrintText)(*attention, seconds,
                                                  verification, console.out);
  if (output) {
    auto written = WriteOutput(*output, inputs.tensors[2], *attention);
    if (!written.ok()) {
      return ReportError(ExitCode::kFile, std::string(written.message()),
                         console);
    }
  }
  return verification ? CodeOf(verification->all) : ExitCode::kOk;
}

}  // namespace steelyard::cli
